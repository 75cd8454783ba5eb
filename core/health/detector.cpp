#include "health/detector.h"

#include <algorithm>
#include <utility>

namespace gorb::health {

uint32_t Detector::in_ticks(uint64_t gap) {
    return static_cast<uint32_t>(std::min<uint64_t>((gap + tick_ns - 1) / tick_ns, UINT32_MAX));
}

uint64_t Detector::interval() const {
    return std::max<uint64_t>(gaps_.value(), 10) * tick_ns;
}

// That of nearly all hosts, in which what fails is believed.
uint64_t Detector::interval_of_most() const {
    const uint64_t most = most_gaps_.value() * tick_ns;
    return most > seldom_ns ? interval() : std::max(interval(), most);
}

void Detector::count_gap(uint32_t gap) {
    gaps_.add(gap);
    most_gaps_.add(gap);
}

void Detector::discount_gap(uint32_t gap) {
    gaps_.remove(gap);
    most_gaps_.remove(gap);
}

uint32_t Detector::host_of(uint64_t hash) {
    const auto short_hash = static_cast<uint32_t>(hash);
    const uint32_t known = table_.find(short_hash, [&](uint32_t i) { return hosts_[i].hash == hash; });
    if (known != SlotTable::none) return known;
    if (free_.empty()) {
        free_.push_back(static_cast<uint32_t>(hosts_.size()));
        hosts_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    hosts_[index] = Host{};
    hosts_[index].hash = hash;
    table_.insert(short_hash, index);
    return index;
}

void Detector::enter(uint32_t index, uint64_t gap_ns) {
    Host& host = hosts_[index];
    const uint32_t gap = in_ticks(gap_ns);
    ++probes_;
    if (host.probes++ == 0) {
        host.gap = gap;
        host.of_gap = 1;
        count_gap(gap);
    } else if (gap == host.gap) {
        ++host.of_gap;
    } else if (gap > host.gap) {
        ++longer_[{index, gap}];
    } else {
        longer_[{index, host.gap}] = std::exchange(host.of_gap, 1);
        discount_gap(std::exchange(host.gap, gap));
        count_gap(gap);
    }
}

void Detector::leave(uint32_t index, uint64_t gap_ns) {
    Host& host = hosts_[index];
    const uint32_t gap = in_ticks(gap_ns);
    --probes_;
    --host.probes;
    if (gap > host.gap) {
        const auto it = longer_.find({index, gap});
        if (--it->second == 0) longer_.erase(it);
    } else if (--host.of_gap == 0) {
        discount_gap(host.gap);
        if (host.probes == 0) return;
        const auto next = longer_.lower_bound({index, 0});
        host.gap = next->first.second;
        host.of_gap = next->second;
        longer_.erase(next);
        count_gap(host.gap);
    }
}

void Detector::set(uint32_t index, Status status, uint64_t now) {
    Host& host = hosts_[index];
    if (host.status == status) return;
    if (host.status == Status::well) --well_count_;
    if (host.status == Status::ill) --ill_count_;
    host.status = status;
    if (status == Status::well) ++well_count_;
    if (status == Status::ill) {
        ++ill_count_;
        host.ill_from = static_cast<uint32_t>(now / tick_ns);
        if (ill_.size() >= sweep_at_) drop_outdated();
        ill_.push_back({index, host.ill_from, now});
    }
}

bool Detector::still(const Ill& ill) const {
    return hosts_[ill.host].status == Status::ill && hosts_[ill.host].ill_from == ill.from;
}

// While it is frozen the oldest stay, which may be for days, and hosts that come and go are added each time.
void Detector::drop_outdated() {
    std::erase_if(ill_, [this](const Ill& ill) { return !still(ill); });
    sweep_at_ = std::max(least_sweep, 2 * ill_.size());
}

void Detector::judge(uint32_t index, uint64_t now) {
    const Host& host = hosts_[index];
    const bool ill = host.bad > 0 && host.bad >= host.good;
    set(index, ill ? Status::ill : host.good ? Status::well : Status::other, now);
}

// Who has been ill for longer than an interval is not newly so; but while it lasts it is all one wave.
void Detector::forget_the_old(uint64_t now) {
    const uint64_t span = interval();
    while (!ill_.empty()) {
        const Ill first = ill_.front();
        if (still(first)) {
            if (suspicion_.frozen || now - first.at <= span) return;
            hosts_[first.host].bad = 0;
            judge(first.host, now);
        }
        ill_.pop_front();
    }
}

void Detector::began(uint64_t hash, Sign sign, uint64_t gap, uint64_t now) {
    if (sign == Sign::none) return;
    const uint32_t index = host_of(hash);
    Host& host = hosts_[index];
    enter(index, gap);
    if (sign == Sign::good) ++host.good;
    // As where one comes back: it goes on for one of those that turned newly, if there are any.
    if (sign == Sign::bad && host.bad) ++host.bad;
    judge(index, now);
}

bool Detector::turned(uint64_t hash, Sign before, Sign after, uint64_t gap, uint64_t now) {
    if (before == after) return false;
    const uint32_t index = host_of(hash);
    Host& host = hosts_[index];
    if (before == Sign::none) enter(index, gap);
    if (before == Sign::good) --host.good;
    // Which of its probes turned is not known: those that did so newly are the ones that come back.
    if (before == Sign::bad && host.bad) --host.bad;
    if (after == Sign::good) ++host.good;
    if (before == Sign::good && after == Sign::bad) {
        const auto at = static_cast<uint32_t>(now / tick_ns);
        if (host.bad && host.status != Status::ill &&
            static_cast<uint32_t>(at - host.bad_from) > interval() / tick_ns) {
            host.bad = 0;
        }
        if (host.bad++ == 0) host.bad_from = at;
    }
    judge(index, now);
    if (after == Sign::none) {
        leave(index, gap);
        if (host.probes == 0) {
            set(index, Status::other, now);
            table_.erase(static_cast<uint32_t>(hash), index);
            free_.push_back(index);
        }
    }
    return tick(now);
}

bool Detector::tick(uint64_t now) {
    forget_the_old(now);
    const uint64_t all = well_count_ + ill_count_;
    if (!suspicion_.frozen) {
        const bool most = ill_count_ >= settings_.least && ill_count_ > 0 &&
                          ill_count_ * 100 >= uint64_t{settings_.threshold} * all;
        return settings_.on && most && freeze(now);
    }
    // Where all have gone, others may take their places that have no result yet.
    const uint64_t span = probes_ ? interval() : frozen_at_;
    // Nobody is well again where none passes.
    const bool none_passes = well_count_ == 0 && probes_ > 0;
    if (none_passes || ill_count_ * 200 >= uint64_t{settings_.threshold} * std::max<uint64_t>(all, 1)) {
        calm_from_ = 0;
        const uint64_t believed = probes_ ? interval_of_most() : span;
        if (settings_.thaw_after == 0 || now - suspicion_.since < believed * settings_.thaw_after)
            return false;
        return thaw(now, "most targets have been ill for " + std::to_string(settings_.thaw_after) +
                             " intervals: that is believed now");
    }
    if (calm_from_ == 0) calm_from_ = now;
    if (now - calm_from_ < span) return false;
    return thaw(now, probes_ ? "most targets are well again" : "none of the targets is left");
}

bool Detector::freeze(uint64_t now) {
    suspicion_.frozen = true;
    // A host with several probes was not ill yet when the first of them failed.
    const auto tick = static_cast<uint32_t>(now / tick_ns);
    uint32_t longest = 0;
    for (const Ill& ill : ill_) {
        if (still(ill)) longest = std::max(longest, tick - hosts_[ill.host].bad_from);
    }
    suspicion_.since = (now / tick_ns - longest) * tick_ns;
    suspicion_.why = std::to_string(ill_count_) + " of " + std::to_string(well_count_ + ill_count_) +
                     " unrelated targets that were well stopped being so within " +
                     base::duration_text(base::Nanos(static_cast<int64_t>(
                         std::max<uint64_t>((now - suspicion_.since) / 1'000'000, 1) * 1'000'000))) +
                     ": this machine itself seems to be ill. It goes on by itself; until then PATCH "
                     R"({"admin": "maint"} takes a backend out at once, and "suspicion = false" in )"
                     "gorb.ini turns this off";
    frozen_at_ = interval();
    calm_from_ = 0;
    return true;
}

bool Detector::thaw(uint64_t now, std::string why) {
    suspicion_ = {false, now, std::move(why)};
    // Those that are ill still are not newly so.
    for (const Ill& ill : ill_) {
        Host& host = hosts_[ill.host];
        if (host.status != Status::ill) continue;
        host.bad = 0;
        judge(ill.host, now);
    }
    ill_.clear();
    return true;
}

}  // namespace gorb::health
