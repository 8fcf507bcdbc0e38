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
    case GG_ENOMEM:
        return "There is not enough memory";
    case GG_ECORE:
        return "The core itself broke the contract of the router";
    case GG_EENDPOINT:
        return "The endpoint is not defined";
    case GG_AGAIN:
        return "The call would have to wait";
    case GG_ETIMEOUT:
        return "The time is up";
    case GG_EINTR:
        return "The call was interrupted";
    case GG_ECLOSED:
        return "The channel is closed";
    case GG_EFORKED:
        return "The channel belongs to the parent of this process";
    case GG_ESYSTEM:
        return "A system call failed";
    case GG_ERING:
        return "The peer moved an index of the ring back or beyond its "
               "capacity";
    case GG_ETORN:
        return "The peer committed a part of a frame";
    case GG_ESEGMENT:
        return "The descriptor is no segment of ours";
    case GG_EBULK:
        return "A large message is not sealed, not of its size, or not there";
    default:
        return status > 0 ? "Success" : "Unknown status";
    }
}
