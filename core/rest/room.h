// What the bodies of requests hold of the server's memory, from their arrival until the request is freed.
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace gorb::rest {

// Of all requests together. Threads: any.
struct Bodies {
    std::atomic<size_t> bytes{0};
    std::atomic<size_t> large{0};  // how many are large
};

// One request's part of it, which goes with it. Threads: one at a time.
class Room {
  public:
    explicit Room(std::shared_ptr<Bodies> all) : all_(std::move(all)) {}
    ~Room() {
        all_->bytes -= bytes_;
        if (large_) --all_->large;
    }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;

    void grow_to(size_t bytes) {
        if (bytes > bytes_) all_->bytes += bytes - std::exchange(bytes_, bytes);
    }
    // false: `most` are large already.
    bool become_large(size_t most) {
        if (large_) return true;
        if (all_->large.fetch_add(1) >= most) {
            --all_->large;
            return false;
        }
        return large_ = true;
    }

  private:
    const std::shared_ptr<Bodies> all_;
    size_t bytes_ = 0;
    bool large_ = false;
};

}  // namespace gorb::rest
