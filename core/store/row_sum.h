// The CRC-32 that a row carries.
#pragma once
#include <Poco/Checksum.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace gorb::store {

inline uint32_t crc_of(std::string_view text) {
    Poco::Checksum sum(Poco::Checksum::TYPE_CRC32);
    sum.update(text.data(), static_cast<unsigned>(text.size()));
    return sum.checksum();
}

// Of the row's values in the order of its columns: a text with a NUL behind it, a number as 8 bytes, the
// least first. That of the settings is a sum of its own, which is XORed with the rest: rows that are
// configured alike need it once.
class RowSum {
  public:
    RowSum& add(std::string_view text) {
        if (used_ + text.size() + 1 > bytes_.size()) flush();
        if (text.size() + 1 > bytes_.size()) {
            sum_.update(text.data(), static_cast<unsigned>(text.size()));
        } else if (!text.empty()) {
            std::memcpy(bytes_.data() + used_, text.data(), text.size());
            used_ += text.size();
        }
        bytes_[used_++] = '\0';
        return *this;
    }
    RowSum& add(int64_t number) {
        if (used_ + 8 > bytes_.size()) flush();
        for (size_t i = 0; i < 8; ++i)
            bytes_[used_++] = static_cast<char>(static_cast<uint64_t>(number) >> (8 * i) & 0xff);
        return *this;
    }
    // A column that came with a later schema, 0 in rows of before: those keep the sum they have.
    RowSum& add_later(int64_t number) { return number == 0 ? *this : add(number); }
    int64_t value(uint32_t settings_crc = 0) {
        flush();
        return sum_.checksum() ^ settings_crc;
    }

  private:
    void flush() {
        sum_.update(bytes_.data(), static_cast<unsigned>(used_));
        used_ = 0;
    }

    Poco::Checksum sum_{Poco::Checksum::TYPE_CRC32};
    std::array<char, 256> bytes_;  // in one piece it is several times quicker
    size_t used_ = 0;
};

}  // namespace gorb::store
