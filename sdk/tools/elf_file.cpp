#include "elf_file.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace gorb::check {
namespace {

// The file's bytes; every read is checked against the end.
class Image {
  public:
    explicit Image(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        if (!in) throw std::runtime_error("the file can not be read");
        bytes_.assign(std::istreambuf_iterator<char>(in), {});
    }
    template <class T>
    T at(size_t offset) const {
        if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T))
            throw std::runtime_error("the file ends in the middle of an ELF table");
        T value;
        std::memcpy(&value, bytes_.data() + offset, sizeof value);
        return value;
    }
    std::string text(size_t offset) const {
        const size_t end = offset < bytes_.size() ? bytes_.find('\0', offset) : std::string::npos;
        if (end == std::string::npos) throw std::runtime_error("the file ends in the middle of a name");
        return bytes_.substr(offset, end - offset);
    }

  private:
    std::string bytes_;
};

bool others_can_bind(const Elf64_Sym& symbol) {
    const auto bind = ELF64_ST_BIND(symbol.st_info);
    const auto visibility = ELF64_ST_VISIBILITY(symbol.st_other);
    return symbol.st_shndx != SHN_UNDEF &&
           (bind == STB_GLOBAL || bind == STB_WEAK || bind == STB_GNU_UNIQUE) &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

}  // namespace

ElfFile read_elf(const std::string& path) {
    const Image image(path);
    const auto header = image.at<Elf64_Ehdr>(0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        throw std::runtime_error("the file is no ELF file");
    if (header.e_ident[EI_CLASS] != ELFCLASS64) throw std::runtime_error("the library is not a 64-bit one");
    if (header.e_type != ET_DYN) throw std::runtime_error("the file is no shared library");

    ElfFile file;
    for (size_t i = 0; i < header.e_phnum; ++i) {
        const auto segment = image.at<Elf64_Phdr>(header.e_phoff + i * header.e_phentsize);
        if (segment.p_type == PT_GNU_STACK) file.executable_stack = (segment.p_flags & PF_X) != 0;
    }
    auto section = [&](size_t index) {
        return image.at<Elf64_Shdr>(header.e_shoff + index * header.e_shentsize);
    };
    for (size_t i = 0; i < header.e_shnum; ++i) {
        const auto table = section(i);
        if (table.sh_entsize == 0 || (table.sh_type != SHT_DYNSYM && table.sh_type != SHT_DYNAMIC)) continue;
        const auto names = section(table.sh_link);
        for (size_t entry = 0; entry < table.sh_size / table.sh_entsize; ++entry) {
            const size_t offset = table.sh_offset + entry * table.sh_entsize;
            if (table.sh_type == SHT_DYNSYM) {
                const auto symbol = image.at<Elf64_Sym>(offset);
                if (others_can_bind(symbol))
                    file.exports.push_back(image.text(names.sh_offset + symbol.st_name));
            } else {
                const auto dynamic = image.at<Elf64_Dyn>(offset);
                if (dynamic.d_tag == DT_NULL) break;
                if (dynamic.d_tag == DT_NEEDED)
                    file.needed.push_back(image.text(names.sh_offset + dynamic.d_un.d_val));
            }
        }
    }
    return file;
}

}  // namespace gorb::check
