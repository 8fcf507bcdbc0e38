# SPDX-License-Identifier: Apache-2.0
"""
Exports: what sends the messages of streams on to other systems, and goes on where it was.

* `exporter`: what a destination is to the others: `Exporter`, `ExportError`, `Setting`.
* `registry`: which class serves which kind of destination; others add theirs by an entry point.
* `schedule`: when a batch is sent: priorities, threads, bandwidth, pauses after failures.
* `gate`: whose turn it is.
* `http`, `file`, `kinesis`, `iot_analytics`, `sitewise`, `s3`, `mqtt`, `kafka`, `nats`: the
  destinations. Each is imported when a stream names it, with the package that it needs; `aws` is
  what those of AWS share.

Start at `schedule.ExportSchedule`.
"""
