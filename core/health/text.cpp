#include "health/text.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

namespace gorb::health {

struct Text::Body {
    explicit Body(uint32_t n) : size(n) {}
    char* characters() { return reinterpret_cast<char*>(this + 1); }

    std::atomic<uint32_t> holders{1};
    uint32_t size;
};

namespace {

constexpr size_t room = sizeof(uintptr_t) - 1;
// Where the characters begin that stand beside the lowest byte.
constexpr size_t first = std::endian::native == std::endian::little ? 1 : 0;

}  // namespace

Text::Text(std::string_view words) {
    if (words.empty()) return;
    if (words.size() <= room) {
        std::memcpy(reinterpret_cast<char*>(&word_) + first, words.data(), words.size());
        word_ |= words.size() * 2 + 1;
        return;
    }
    void* memory = ::operator new(sizeof(Body) + words.size());
    auto* made = new (memory) Body(static_cast<uint32_t>(words.size()));
    std::copy(words.begin(), words.end(), made->characters());
    word_ = reinterpret_cast<uintptr_t>(made);
}

Text::Body* Text::body() const noexcept {
    // It was made of such a pointer.  NOLINTNEXTLINE(performance-no-int-to-ptr)
    return (word_ & 1) != 0 ? nullptr : reinterpret_cast<Body*>(word_);
}

Text::Text(const Text& other) noexcept : word_(other.word_) {
    if (Body* shared = body()) shared->holders.fetch_add(1, std::memory_order_relaxed);
}

Text::~Text() {
    Body* shared = body();
    if (!shared || shared->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    shared->~Body();
    ::operator delete(shared);
}

std::string_view Text::view() const noexcept {
    if (Body* shared = body()) return {shared->characters(), shared->size};
    return {reinterpret_cast<const char*>(&word_) + first, (word_ & 0xff) / 2};
}

Text Texts::of(std::string_view words) {
    if (words.empty()) return {};
    for (const Text& text : recent_) {
        if (text.view() == words) return text;
    }
    Text made(words);
    recent_[oldest_] = made;
    oldest_ = (oldest_ + 1) % recent_.size();
    return made;
}

}  // namespace gorb::health
