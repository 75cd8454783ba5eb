// Time as a dependency: code that waits or stamps takes a Clock, tests step a ManualClock.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace gorb::base {

inline constexpr uint64_t second = 1'000'000'000;  // in ns, as a Clock counts

// The earlier of two times of a Clock, where 0 is none.
inline uint64_t earlier(uint64_t a, uint64_t b) {
    return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

// Threads: all functions may be called by any thread at once.
class Clock {
  public:
    virtual ~Clock() = default;
    // CLOCK_MONOTONIC, in ns. Never 0, never goes back.
    virtual uint64_t now() const = 0;
    // ns since 1970 (UTC), for stamps that people read
    virtual int64_t wall() const = 0;
};

class SystemClock final : public Clock {
  public:
    uint64_t now() const override;
    int64_t wall() const override;
};

// Stands still until it is told to go on.
class ManualClock final : public Clock {
  public:
    explicit ManualClock(uint64_t start = 1'000'000'000) : now_(start) {}
    uint64_t now() const override { return now_; }
    int64_t wall() const override { return 1'700'000'000'000'000'000 + static_cast<int64_t>(now_.load()); }
    void advance(uint64_t ns) { now_ += ns; }

  private:
    std::atomic<uint64_t> now_;
};

// "2024-05-01T12:00:00.123Z" of a wall() value
std::string wall_text(int64_t wall_ns);

// The same without a string of its own.
class WallText {
  public:
    explicit WallText(int64_t wall_ns);
    operator std::string_view() const { return {chars_.data(), chars_.size()}; }  // NOLINT: it is one

  private:
    std::array<char, 24> chars_ = {'0', '0', '0', '0', '-', '0', '0', '-', '0', '0', 'T', '0',
                                   '0', ':', '0', '0', ':', '0', '0', '.', '0', '0', '0', 'Z'};
};

}  // namespace gorb::base
