// The arguments of a program: a JSON array of texts, in which {address} and the like stand for the target.
// Pure.
#pragma once
#include <gorb/plugin.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pulse_exec {

constexpr size_t most_arguments = 64;
constexpr size_t most_argument_bytes = 16 * 1024;  // all of them together

// Placeholder -> what it stands for.
using Values = std::map<std::string, std::string, std::less<>>;
// Of a target: address, port, family ("4" or "6"), service, backend.
Values values_of(const gorb::sdk::Target& target);

// The texts of a JSON array, as they stand there; "" is the empty list. Whole numbers become texts. Throws
// Error for anything else, for a NUL, for an unknown placeholder, and when there are too many.
std::vector<std::string> read_arguments(std::string_view json);

// Every placeholder replaced. What a value holds is not looked at again.
std::string filled(std::string_view text, const Values& values);

}  // namespace pulse_exec
