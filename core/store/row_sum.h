// The CRC-32 that a row carries.
#pragma once
#include <Poco/Checksum.h>

#include <array>
#include <cstdint>
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
        sum_.update(text.data(), static_cast<unsigned>(text.size()));
        sum_.update('\0');
        return *this;
    }
    RowSum& add(int64_t number) {
        std::array<char, 8> bytes{};
        for (size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<char>(static_cast<uint64_t>(number) >> (8 * i) & 0xff);
        sum_.update(bytes.data(), bytes.size());
        return *this;
    }
    int64_t value(uint32_t settings_crc = 0) const { return sum_.checksum() ^ settings_crc; }

  private:
    mutable Poco::Checksum sum_{Poco::Checksum::TYPE_CRC32};  // checksum() is not const there
};

}  // namespace gorb::store
