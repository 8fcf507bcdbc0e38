/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/status.h"

const char *gg_strerror(int status)
{
    switch (status) {
    case GG_OK:
        return "Success";
    case GG_EINVAL:
        return "Invalid argument";
    case GG_ENOSPC:
        return "The memory given is too small";
    case GG_ELENGTH:
        return "The length of the frame is below its header or above the limit";
    case GG_EKIND:
        return "The kind of the frame is unknown";
    case GG_EFLAGS:
        return "The frame has flags that its kind does not define";
    case GG_ETOPIC:
        return "The topic is too long";
    case GG_ECONTEXT:
        return "The context of the frame is too long";
    case GG_EFIELDS:
        return "The topic and the context exceed the length of the frame";
    case GG_EFILTER:
        return "The topic filter is malformed";
    default:
        return status > 0 ? "Success" : "Unknown status";
    }
}
