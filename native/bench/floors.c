/* SPDX-License-Identifier: Apache-2.0 */
/* The floors: what this machine does in C with the same rings, wake-ups, spins
 * and processors as the message plane. JSON on standard output:
 *
 *   floors [--quick] [publish] [relay] [roundtrip] [socket] [bulk]
 */
#include "gg_bench.h"

void row(const char *name, const char *unit, double value, const char *more)
{
    static int rows;

    printf("%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"value\": %.4g%s}",
           rows++ ? "," : "", name, unit, value, more);
    (void)fflush(stdout);
}

static int wanted(int argc, char **argv, const char *name)
{
    int named = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return 1;
        named |= argv[i][0] != '-';
    }
    return !named;
}

int main(int argc, char **argv)
{
    int turns = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 3000 : 20000;

    printf("{\"cpus\": %u, \"rows\": [", gg_cpus());
    (void)fflush(stdout);
    if (wanted(argc, argv, "publish"))
        bench_publish();
    if (wanted(argc, argv, "relay"))
        bench_relay();
    if (wanted(argc, argv, "roundtrip"))
        bench_round_trips(turns);
    if (wanted(argc, argv, "socket"))
        bench_sockets(turns);
    if (wanted(argc, argv, "bulk"))
        bench_bulk();
    printf("\n]}\n");
    return 0;
}
