// What pulses share that keep a connection from one check to the next: how many may be kept, and to whom none
// is for a while. No plugin of its own.
#pragma once
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <gorb/sdk/values.hpp>
#include <map>
#include <string>

namespace pulse_kept {

// Places for kept connections, of all instances of a plugin in this process: so many eighths of its
// descriptors. Those of http are a half and those of grpc an eighth; what is left is for the checks that run
// (core/health/engine.cpp) and for all else.
//
// Threads: any.
class Places {
  public:
    explicit Places(uint64_t eighths) : eighths_(eighths) {}

    // Each true wants a give().
    bool take() noexcept {
        static const uint64_t descriptors = limit();
        if (taken_.fetch_add(1, std::memory_order_relaxed) < descriptors / 8 * eighths_) return true;
        give();
        return false;
    }
    void give() noexcept { taken_.fetch_sub(1, std::memory_order_relaxed); }

  private:
    static uint64_t limit() noexcept {
        constexpr uint64_t plenty = 1 << 30;
        rlimit limit{};
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
        return limit.rlim_cur == RLIM_INFINITY ? plenty : std::min<uint64_t>(limit.rlim_cur, plenty);
    }

    const uint64_t eighths_;
    std::atomic<uint64_t> taken_{0};
};

// Whom no connection could be opened to for want of a port to connect from, or a descriptor: of
// those that are kept to the same address and port each holds one, and where there are more targets than
// ports (pulses that differ in a path, on one address) the rest would never have any.
//
// Threads: one.
class Shortage {
  public:
    static constexpr uint64_t lasts = 600'000'000'000;  // ns

    // A connection to it could not be opened, with this errno. What is no want of ports or descriptors is no
    // reason.
    void met(const gorb_addr& peer, uint64_t now, int err) {
        if (err != EADDRNOTAVAIL && err != EMFILE && err != ENFILE) return;
        if (until_.size() >= most_) {
            for (auto it = until_.begin(); it != until_.end();)
                it = it->second <= now ? until_.erase(it) : std::next(it);
            most_ = std::max<size_t>(64, 2 * until_.size());
        }
        until_[gorb::sdk::with_port(peer)] = now + lasts;
    }
    // Nothing is kept to it.
    bool of(const gorb_addr& peer, uint64_t now) {
        if (until_.empty()) return false;
        const auto found = until_.find(gorb::sdk::with_port(peer));
        if (found == until_.end()) return false;
        if (now < found->second) return true;
        until_.erase(found);
        return false;
    }

  private:
    std::map<std::string, uint64_t> until_;
    size_t most_ = 64;
};

}  // namespace pulse_kept
