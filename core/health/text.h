// Words that many records hold: the reason of a check is the same for most backends, check after check.
//
// Threads: a Text may be copied and dropped by any thread; Texts by one at a time.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace gorb::health {

// An immutable string in the room of one pointer. Copies share their characters; up to 7 (3 where a pointer
// has 32 bits) stand in the room itself.
class Text {
  public:
    Text() noexcept = default;  // ""
    explicit Text(std::string_view words);
    Text(const Text& other) noexcept;
    Text(Text&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
    Text& operator=(Text other) noexcept {
        std::swap(word_, other.word_);
        return *this;
    }
    ~Text();

    // Valid as long as this Text is there and unchanged.
    std::string_view view() const noexcept;
    bool empty() const noexcept { return word_ == 0; }

  private:
    struct Body;
    Body* body() const noexcept;  // nullptr where the characters stand here

    // 0 for ""; odd: the lowest byte is 2 * size + 1, the others are the characters; else the address of a
    // Body.
    uintptr_t word_ = 0;
};
static_assert(sizeof(Text) == sizeof(void*));

// Remembers the texts of late, to be shared.
class Texts {
  public:
    Text of(std::string_view words);

  private:
    std::array<Text, 16> recent_;
    size_t oldest_ = 0;
};

}  // namespace gorb::health
