// What a shared library shows to the world, read from its ELF file without loading it.
#pragma once
#include <string>
#include <vector>

namespace gorb::check {

struct ElfFile {
    std::vector<std::string> exports;  // names of all defined dynamic symbols that others can bind to
    std::vector<std::string> needed;   // DT_NEEDED
    bool executable_stack = false;
};

// Throws std::runtime_error with a sentence when the file is no 64-bit shared library of this machine's byte
// order.
ElfFile read_elf(const std::string& path);

}  // namespace gorb::check
