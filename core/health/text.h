// Words that many records hold: the reason of a check is the same for most backends, check after check.
//
// Threads: a Text may be copied and dropped by any thread; Texts by one at a time.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gorb::health {

// An immutable string, counted, in the room of one pointer. Copies share their characters.
class Text {
  public:
    Text() noexcept = default;  // ""
    explicit Text(std::string_view words);
    Text(const Text& other) noexcept;
    Text(Text&& other) noexcept : body_(other.body_) { other.body_ = nullptr; }
    Text& operator=(Text other) noexcept;
    ~Text();

    std::string_view view() const noexcept;
    bool empty() const noexcept { return body_ == nullptr; }

  private:
    struct Body;
    Body* body_ = nullptr;  // nullptr for ""
};

// Remembers the texts of late, to be shared.
class Texts {
  public:
    Text of(std::string_view words);

  private:
    std::array<Text, 16> recent_;
    size_t oldest_ = 0;
};

}  // namespace gorb::health
