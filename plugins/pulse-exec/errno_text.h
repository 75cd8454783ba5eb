// What an errno says.
#pragma once
#include <array>
#include <cstring>
#include <string>

namespace pulse_exec {

// Threads: any (strerror is for one).
inline std::string errno_text(int err) {
    std::array<char, 128> buffer{};
    return strerror_r(err, buffer.data(), buffer.size());
}

}  // namespace pulse_exec
