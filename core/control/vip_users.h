// Keeps each VIP on the interface for as long as a virtual service uses it, and removes only what it added.
// Threads: one (the control thread).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/result.h"
#include "ipvs/vip.h"

namespace gorb::control {

class VipUsers {
  public:
    // `table` null: VIPs are somebody else's business, every call succeeds and does nothing.
    // `noted` is told of each address that is added to the interface here, or removed.
    using Noted = std::function<void(const base::Ip&, bool added)>;
    VipUsers(std::unique_ptr<ipvs::VipTable> table, Noted noted)
        : table_(std::move(table)), noted_(std::move(noted)) {}

    // These were added by an earlier run: where they still are, they count as added here.
    void remember(const std::vector<base::Ip>& added);
    // Removes those of them that nobody has acquired.
    void release_unused();

    // One more service uses `address`. The first one adds it.
    base::Status acquire(const base::Ip& address);
    // One less. The last one removes it, if it was added here; a failure is logged, the service is gone all
    // the same.
    void release(const base::Ip& address);
    // Removes all that was added here.
    void release_all();

  private:
    struct Use {
        size_t services = 0;
        bool added = false;
    };
    void remove(const base::Ip& address);

    std::unique_ptr<ipvs::VipTable> table_;
    Noted noted_;
    std::set<base::Ip> earlier_;
    std::map<base::Ip, Use> uses_;
};

}  // namespace gorb::control
