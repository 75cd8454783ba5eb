#include "health/text.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/check.h"

namespace gorb::health {

struct Text::Body {
    explicit Body(uint32_t n) : size(n) {}
    char* characters() { return reinterpret_cast<char*>(this + 1); }

    std::atomic<uint32_t> holders{1};
    uint32_t size;
};

Text::Text(std::string_view words) {
    if (words.empty()) return;
    void* room = ::operator new(sizeof(Body) + words.size());
    body_ = new (room) Body(static_cast<uint32_t>(words.size()));
    std::copy(words.begin(), words.end(), body_->characters());
}

Text::Text(const Text& other) noexcept : body_(other.body_) {
    if (body_) body_->holders.fetch_add(1, std::memory_order_relaxed);
}

Text& Text::operator=(Text other) noexcept {
    std::swap(body_, other.body_);
    return *this;
}

Text::~Text() {
    if (!body_ || body_->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    body_->~Body();
    ::operator delete(body_);
}

std::string_view Text::view() const noexcept {
    return body_ ? std::string_view(body_->characters(), body_->size) : std::string_view();
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
