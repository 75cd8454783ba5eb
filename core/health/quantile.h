// The least of some numbers that is at or above so many per cent of them, kept up to date as they come and
// go.
//
// Threads: one at a time. Cost: O(log n) for n different numbers; about 50 bytes for each of those.
#pragma once
#include <cstdint>
#include <map>

namespace gorb::health {

class Quantile {
  public:
    // `percent`: 0 to 100; at 0 it is the least of all.
    explicit Quantile(uint32_t percent) : percent_(percent) {}
    Quantile(const Quantile&) = delete;
    Quantile& operator=(const Quantile&) = delete;

    void add(uint32_t number) {
        const auto it = counts_.try_emplace(number, 0).first;
        ++it->second;
        ++size_;
        if (size_ == 1) {
            at_ = it;
        } else if (number < at_->first) {
            ++below_;
        }
        move();
    }
    // One that was added.
    void remove(uint32_t number) {
        const auto it = counts_.find(number);
        --size_;
        if (number < at_->first) --below_;
        const bool last = --it->second == 0;
        if (size_ > 0) move();  // on from one of which none is left, too
        if (last) counts_.erase(it);
    }
    // 0 without numbers.
    uint32_t value() const { return size_ ? at_->first : 0; }

  private:
    void move() {
        const uint64_t least = percent_ == 0 ? 1 : (size_ * percent_ + 99) / 100;
        while (below_ >= least) below_ -= (--at_)->second;
        while (below_ + at_->second < least) {
            below_ += at_->second;
            ++at_;
        }
    }

    using Counts = std::map<uint32_t, uint64_t>;
    const uint64_t percent_;
    Counts counts_;
    Counts::iterator at_;  // while there are any
    uint64_t below_ = 0;   // how many are less
    uint64_t size_ = 0;
};

}  // namespace gorb::health
