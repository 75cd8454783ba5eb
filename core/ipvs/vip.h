// Virtual IP addresses on a network interface: IPv4 as /32, IPv6 as /128.
//
// Threads: one thread at a time. Errors: what the kernel refuses; unavailable where there is no descriptor
// for its socket. An exchange with the kernel that breaks off (no memory for an answer) is tried once more by
// itself.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace gorb::ipvs {

class VipTable {
  public:
    virtual ~VipTable() = default;
    // Those that the interfaces of this host have, all of them.
    virtual base::Result<std::set<base::Ip>> addresses() = 0;
    // `there`: what addresses() has just given, read once for all that are to be added. true: added now.
    // false: it is there, or this interface has got it since; nothing was changed.
    virtual base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>& there) = 0;
    // Those of `addresses` that this interface has not and another one has, as /32 or /128, become this
    // one's: each is added here before it is removed there. Which ones they were. Of one that both have, the
    // other is somebody else's.
    virtual base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>& addresses) = 0;
    // Not having it is success.
    virtual base::Status remove(const base::Ip& address) = 0;
};

// The addresses of `interface` in this network namespace, by rtnetlink (libnl-route-3). IPv6 addresses are
// added with IFA_F_NODAD, so that they can be used at once. Errc::not_found when there is no such interface.
base::Result<std::unique_ptr<VipTable>> open_vip_table(const std::string& interface);

}  // namespace gorb::ipvs
