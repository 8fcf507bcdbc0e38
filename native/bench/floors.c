/* SPDX-License-Identifier: Apache-2.0 */
/* The floors: what this machine does in C with the same rings, wake-ups, spins
 * and processors as the message plane. JSON on standard output:
 *
 *   floors [--quick] [NAME...]
 *
 * A name stands for all rows that begin with it: publish, relay/ring,
 * relay/window, roundtrip/ring/two/spin, roundtrip/socket, bulk, ...
 */
#include "gg_bench.h"

static char **names;
static int named;

void row(const char *name, const char *unit, double value, const char *more)
{
    static int rows;

    printf("%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"value\": %.4g%s}",
           rows++ ? "," : "", name, unit, value, more);
    (void)fflush(stdout);
}

int wanted(const char *name)
{
    size_t size = strlen(name);

    for (int i = 0; i < named; i++) {
        size_t asked = strlen(names[i]);

        if (memcmp(name, names[i], asked < size ? asked : size) == 0)
            return 1;
    }
    return named == 0;
}

int main(int argc, char **argv)
{
    int quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    int turns = quick ? 2000 : 10000;

    names = argv + 1 + quick;
    named = argc - 1 - quick;
    printf("{\"cpus\": %u, \"rows\": [", gg_cpus());
    (void)fflush(stdout);
    if (wanted("publish"))
        bench_publish();
    if (wanted("relay"))
        bench_relay(quick);
    if (wanted("roundtrip/ring"))
        bench_round_trips(turns);
    if (wanted("roundtrip/socket"))
        bench_sockets(turns);
    if (wanted("bulk"))
        bench_bulk();
    printf("\n]}\n");
    return 0;
}
