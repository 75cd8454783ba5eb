// Keeps each VIP on the interface for as long as a virtual service uses it, and removes only what it added.
//
// Which addresses are gorb's is known on disk before they are on the interface, so that a crash leaves none
// behind: who wants some asks which are missing() on this host, has these noted together with what wants
// them, says so with intend(), and only then acquires them.
//
// Threads: refused() by any, everything else by one at a time (the control's turns).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "ipvs/vip.h"

namespace gorb::control {

class VipUsers {
  public:
    // `table` null: VIPs are somebody else's business, every call succeeds and does nothing.
    // `noted` is told of each address that is to be noted as added here although nobody intended it (it was
    // missed later), or not to be noted any more.
    // `told` is told of each that is in use and can not be added, in whose words, and with "" when it is at
    // last.
    using Noted = std::function<void(const base::Ip&, bool added)>;
    using Told = std::function<void(const base::Ip&, const std::string& refusal)>;
    // `served` says which addresses virtual services of the kernel have, whoever made them: while one has it,
    // an address stays, though nobody here uses it any more.
    using Served = std::function<base::Result<std::set<base::Ip>>()>;
    VipUsers(std::unique_ptr<ipvs::VipTable> table, Noted noted, Told told, Served served)
        : table_(std::move(table)),
          noted_(std::move(noted)),
          told_(std::move(told)),
          served_(std::move(served)) {}

    // These were added by an earlier run: where they still are, they count as added here. Those that are on
    // another interface, since that was the one to add them to, are moved.
    void remember(const std::vector<base::Ip>& added);
    // Removes those that nobody uses any more, here or in the kernel; those that stay for that, or can not be
    // removed, are tried again by look(). Their services are gone from the kernel: it is asked once for all.
    void release_unused();

    // Is there an interface? Without one none is added, and none is removed.
    bool has_interface() const { return table_ != nullptr; }

    // Those of `wanted` that would have to be added and are not noted yet. None where the addresses of this
    // host can not be read: acquiring them will say so.
    std::vector<base::Ip> missing(const std::vector<base::Ip>& wanted) const;
    // These are noted.
    void intend(const std::vector<base::Ip>& addresses);

    // A change that is being written counts on these being as missing() has found them: none of them goes
    // before the next call.
    void expect(const std::vector<base::Ip>& addresses);

    // One more service uses each of these. The first one adds it; where that fails, none does. Those of many
    // services at once: the host's addresses are read once for all of them.
    std::vector<base::Status> acquire(const std::vector<base::Ip>& addresses);
    // The same for services that there are in any case: what could not be added is tried again by look().
    std::vector<base::Status> acquire_anyway(const std::vector<base::Ip>& addresses, uint64_t now);
    // One less. If it was added here, the next look() removes it after the last one.
    void release(const base::Ip& address);
    // Removes all that was added here, but for those that stay, and those that somebody else's services in
    // the kernel have: they are still noted, for the next run.
    void release_all(const std::set<base::Ip>& stay);

    // Those in use that were added here and that this host has no more: somebody removed them. Each once,
    // until it is back; none where the addresses can not be read. What the host had by itself it may take
    // away.
    std::vector<base::Ip> lost();
    // Such ones are added again; where that fails it is tried again by look().
    std::vector<base::Status> put_back(const std::vector<base::Ip>& addresses, uint64_t now);

    // Tries again what is missing, or is to be removed, and due. `now` and next() are monotonic ns, 0: never.
    void look(uint64_t now);
    uint64_t next() const;

    // Why one that is in use could not be added at the last attempt, "" when it could. [any]
    std::string refused(const base::Ip& address) const;

  private:
    struct Use {
        size_t services = 0;
        bool added = false;    // here, so it is removed with its last service
        bool missing = false;  // it could not be added yet
        bool lost = false;     // somebody removed it, which has been told
    };
    // When something is tried again.
    struct Retry {
        uint64_t at = 0;        // 0: never
        uint32_t failures = 0;  // in a row
        bool due(uint64_t now) const { return at != 0 && at <= now; }
        void again(uint64_t now);
    };
    // The addresses of this host, read when they are asked for first.
    class Host {
      public:
        explicit Host(ipvs::VipTable* table) : table_(table) {}
        const base::Result<std::set<base::Ip>>& addresses() {
            if (!read_) read_ = table_->addresses();
            return *read_;
        }

      private:
        ipvs::VipTable* table_;
        std::optional<base::Result<std::set<base::Ip>>> read_;
    };
    // Counts a use and adds what is not there yet.
    base::Status take(const base::Ip& address, Host& host);
    base::Status add(const base::Ip& address, Use& use, Host& host);
    void refuse(const base::Ip& address, const std::string& words);
    void try_again(uint64_t now);
    void add_missing(uint64_t now);
    void move(const std::vector<base::Ip>& added);
    bool remove(const base::Ip& address);

    std::unique_ptr<ipvs::VipTable> table_;
    Noted noted_;
    Told told_;
    Served served_;
    std::set<base::Ip> earlier_;           // added by an earlier run or by this one, and used by nobody here
    std::set<base::Ip> served_by_others_;  // some of them, of which that has been told
    std::set<base::Ip> intended_;          // noted, and not added yet
    std::set<base::Ip> expected_;
    std::map<base::Ip, Use> uses_;
    base::Guarded<std::map<base::Ip, std::string>> shown_;  // of those that are missing: why
    // Each in its own time: one that stays for somebody else's service may do so for years.
    Retry missing_, unused_;
};

}  // namespace gorb::control
