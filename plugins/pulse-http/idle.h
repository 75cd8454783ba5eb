// When a server that closes a kept connection is worth a check at once, and when it is only tidying up.
//
// Most servers end connections that were idle for some seconds. The first times that looks like the end of
// the server, and a check is asked for; when the server turns out to live, the time is remembered, and after
// two like times it is known: a close at that age asks for nothing any more. Any other close does.
//
// Pure, 16 bytes.
#pragma once
#include <cstdint>

namespace pulse_http {

class IdleHabit {
  public:
    // The server closed a connection that had been idle for `idle_ns`. True: check at once.
    bool closed(uint64_t idle_ns) {
        const auto ms = static_cast<uint32_t>(idle_ns / 1'000'000 < longest ? idle_ns / 1'000'000 : longest);
        if (known_ && like(ms, habit_ms_)) return false;
        // Checks that closes ask for do not follow each other without end, whatever the server does.
        if (by_close_ && ms < 1000) return false;
        pending_ms_ = ms + 1;
        asked_ = true;
        return true;
    }
    // A check begins.
    void started() {
        by_close_ = asked_;
        asked_ = false;
    }
    // The check is over: did the server do well?
    void judged(bool good) {
        if (pending_ms_ == 0) return;
        const uint32_t ms = pending_ms_ - 1;
        pending_ms_ = 0;
        if (!good) return;
        known_ = seen_ && like(ms, habit_ms_);
        habit_ms_ = ms;
        seen_ = true;
    }

  private:
    static constexpr uint64_t longest = 0x7fffffff;
    static bool like(uint32_t a, uint32_t b) {
        const uint32_t more = a > b ? a : b, less = a > b ? b : a;
        return more - less <= 100 + less / 8;
    }
    uint32_t habit_ms_ = 0, pending_ms_ = 0;  // pending: plus one, 0 for none
    bool seen_ = false, known_ = false;
    bool asked_ = false, by_close_ = false;  // the next check, and the one before, came of a close
};

}  // namespace pulse_http
