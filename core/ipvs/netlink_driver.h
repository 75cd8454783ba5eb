// The driver of the kernel's IPVS table, over generic netlink.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ipvs/driver.h"

namespace gorb::ipvs {

struct NetlinkOptions {
    int receive_buffer = 4 * 1024 * 1024;  // bytes; holds the answers to a batch many times over
    size_t batch = 512;                    // operations in one send, at most (and 128 KiB, whichever is less)
    std::vector<std::string> modprobe;     // programs to load the module with; empty for the usual places
};

// The IPVS table of the network namespace that the calling thread is in now. Loads the module if need be.
// Errc::unavailable: the kernel has no IPVS. Errc::forbidden: CAP_NET_ADMIN is missing (the kernel wants it
// for reading, too). Both sentences say what would help.
base::Result<std::unique_ptr<Driver>> open_netlink_driver(const NetlinkOptions& options = {});

}  // namespace gorb::ipvs
