#include "control/rounds.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace gorb::control {
namespace {

constexpr size_t round_of_services = 16;

}  // namespace

void Rounds::ask(Done done) {
    asked_.push_back(std::move(done));
    if (!under_way_) at_ = 1;
}

void Rounds::begin(const model::Snapshot& now) {
    under_way_ = true;
    begun_ = clock_->now();
    waiting_ = std::exchange(asked_, {});
    counts_ = {};
    counts_.drift = look_at_vips_();
    names_.clear();
    now.services.for_each([&](const std::string& name, const model::ServicePtr&) { names_.push_back(name); });
    std::ranges::reverse(names_);
}

void Rounds::end() {
    under_way_ = false;
    ++totals_.rounds;
    totals_.drift += counts_.drift;
    totals_.refused += counts_.refused;
    totals_.last_wall = clock_->wall();
    if (counts_.drift > 0) {
        base::log_warning(
            "a look at the kernel's table found drift",
            {{"entries", std::to_string(counts_.drift)}, {"refused", std::to_string(counts_.refused)}});
    }
    // From its begin, so that nothing is unseen for longer than the period; but a round that takes longer
    // than that is not to be followed by the next one without a pause.
    const uint64_t next = std::max(begun_ + period_, clock_->now() + period_ / 10);
    at_ = !asked_.empty() ? 1 : period_ ? next : 0;
    for (Done& done : std::exchange(waiting_, {})) answers_.emplace_back(std::move(done), counts_);
}

bool Rounds::step(const model::Snapshot& now) {
    if (!under_way_) {
        if (at_ == 0 || at_ > clock_->now()) return false;
        begin(now);
    }
    std::vector<model::ServicePtr> some;
    while (!names_.empty() && some.size() < round_of_services) {
        if (const auto* service = now.services.find(names_.back())) some.push_back(*service);
        names_.pop_back();
    }
    if (!some.empty()) counts_.add(sync_->services(some, Sync::Why::drift));
    if (names_.empty()) {
        counts_.add(sync_->leave(now, Sync::Why::drift));
        end();
        return false;
    }
    return true;
}

}  // namespace gorb::control
