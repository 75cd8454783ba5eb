// Stands in for libFuzzer where there is none: NAME_fuzz CORPUS MUTATIONS feeds every file of the folder,
// then that many seeded mutations of them, to the target. What it feeds depends on the corpus only. The input
// that kills the target is left in NAME_fuzz.crash in the working directory.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Of the sanitizers' runtime, where there is one: they end the process without a signal.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" void __attribute__((weak)) __sanitizer_set_death_callback(void (*callback)());

namespace {

std::string current;
std::string crash_file;

void keep_current() {
    const int fd = open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return;
    if (write(fd, current.data(), current.size()) >= 0) {
        constexpr char said[] = "the input is kept in *_fuzz.crash\n";
        if (write(STDERR_FILENO, said, sizeof said - 1) < 0) _exit(1);
    }
    close(fd);
}

void on_signal(int signal) {
    keep_current();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void feed(std::string input) {
    current = std::move(input);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
}

// Everything that follows from `random` alone, so a failure can be repeated.
class Mutator {
  public:
    explicit Mutator(const std::vector<std::string>& corpus) : corpus_(corpus) {}

    std::string next() {
        std::string input = corpus_[below(corpus_.size())];
        const size_t changes = 1 + below(8);
        for (size_t i = 0; i < changes; ++i) change(input);
        return input;
    }

  private:
    size_t below(size_t n) { return n ? static_cast<size_t>(random_() % n) : 0; }
    char byte() { return static_cast<char>(random_()); }

    void change(std::string& input) {
        const size_t at = below(input.size() + 1);
        const size_t length = std::min(input.size() - at, 1 + below(16));
        switch (below(7)) {
            case 0:
                if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
                break;
            case 1:
                if (at < input.size()) input[at] = byte();
                break;
            case 2:
                input.insert(at, 1, byte());
                break;
            case 3:
                input.erase(at, length);
                break;
            case 4:
                input.insert(at, input.substr(below(input.size()), length));
                break;
            case 5: {  // the head of this and the tail of another
                const std::string& other = corpus_[below(corpus_.size())];
                input = input.substr(0, at) + other.substr(below(other.size() + 1));
                break;
            }
            default: {
                static constexpr std::array<const char*, 20> tokens{
                    "0",    "-1",  "65536", "4294967296", "1e9",          "\"\"", "null",
                    "true", "{}",  "[]",    "{\"",        "\":",          ",",    "\\u0000",
                    "|",    "/24", "\xff",  "\r\n",       "\xed\xa0\x80", "1.5"};
                input.insert(at, tokens[below(tokens.size())]);
            }
        }
        constexpr size_t most = 1 << 16;
        if (input.size() > most) input.resize(most);
    }

    const std::vector<std::string>& corpus_;
    std::mt19937_64 random_{20240501};
};

std::vector<std::string> read_folder(const char* folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());  // the system's order is not the same everywhere
    std::vector<std::string> contents;
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        contents.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return contents;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s CORPUS MUTATIONS\n", argv[0]);
        return 2;
    }
    const std::vector<std::string> corpus = read_folder(argv[1]);
    if (corpus.empty()) {
        fprintf(stderr, "there is no file in %s\n", argv[1]);
        return 2;
    }
    crash_file = std::filesystem::path(argv[0]).filename().string() + ".crash";
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_current);
    std::signal(SIGABRT, on_signal);
    std::signal(SIGSEGV, on_signal);
    const unsigned long mutations = strtoul(argv[2], nullptr, 10);
    for (const std::string& input : corpus) feed(input);
    Mutator mutator(corpus);
    for (unsigned long i = 0; i < mutations; ++i) feed(mutator.next());
    printf("%zu files and %lu mutations\n", corpus.size(), mutations);
    return 0;
}
