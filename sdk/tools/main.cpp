// gorb-plugin-check: loads a plugin library and mistreats it.
#include <dlfcn.h>
#include <getopt.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "elf_file.h"
#include "mistreat.h"
#include "tables.h"

namespace {

constexpr const char* help = R"(usage: gorb-plugin-check [options] FILE.so

Loads a plugin of gorb, reads its tables, and treats it as badly as the contract of gorb/abi.h allows: checks that are
cancelled at once, dead and silent servers, a host without descriptors, workers or timers. Prints a line for each check.

  -a, --arg NAME=VALUE      an argument for every target (of pulses), e.g. -a path=/health
  -o, --option NAME=VALUE   an option of the plugin's instance
  -p, --plugin NAME         only this plugin of the library
  -t, --timeout MS          deadline of one check (300)
  -n, --targets N           how many targets at once (200)
  -s, --slow MS             what a slow call is (100): the loop of gorbd stands still that long
      --limit SECONDS       the end of all checks, for a plugin that never comes back (300)
      --options-markdown    print the option tables for the README, and do nothing else
  -h, --help

Exit status: 0 all is well, 1 something was found, 2 wrong usage.
)";

// What the child is doing, for the parent to name when the child dies of it.
struct Progress {
    char doing[256];
};

struct Command {
    std::string file, only;
    bool markdown = false;
    unsigned limit = 300;  // seconds
    gorb::check::Settings settings;
};

[[noreturn]] void usage(const std::string& words) {
    std::fprintf(stderr, "gorb-plugin-check: %s (--help tells more)\n", words.c_str());
    std::exit(2);
}

long number(const char* text) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end || value < 1 || value > 100000)
        usage(std::string("\"") + text + "\" is no number from 1 to 100000");
    return value;
}

void assign(gorb::testing::Values& values, const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos) usage("\"" + text + "\" is not NAME=VALUE");
    values[text.substr(0, equals)] = text.substr(equals + 1);
}

Command parse(int argc, char** argv) {
    static const option names[] = {
        {"arg", required_argument, nullptr, 'a'},    {"option", required_argument, nullptr, 'o'},
        {"plugin", required_argument, nullptr, 'p'}, {"timeout", required_argument, nullptr, 't'},
        {"slow", required_argument, nullptr, 's'},   {"targets", required_argument, nullptr, 'n'},
        {"limit", required_argument, nullptr, 'l'},  {"options-markdown", no_argument, nullptr, 'm'},
        {"help", no_argument, nullptr, 'h'},         {nullptr, 0, nullptr, 0}};
    Command command;
    for (int c = 0; (c = getopt_long(argc, argv, "a:o:p:t:n:s:h", names, nullptr)) != -1;) {
        switch (c) {
            case 'a':
                assign(command.settings.args, optarg);
                break;
            case 'o':
                assign(command.settings.options, optarg);
                break;
            case 'p':
                command.only = optarg;
                break;
            case 't':
                command.settings.timeout = std::chrono::milliseconds(number(optarg));
                break;
            case 's':
                command.settings.slow_call = std::chrono::milliseconds(number(optarg));
                break;
            case 'n':
                command.settings.targets = static_cast<size_t>(number(optarg));
                break;
            case 'l':
                command.limit = static_cast<unsigned>(number(optarg));
                break;
            case 'm':
                command.markdown = true;
                break;
            case 'h':
                std::fputs(help, stdout);
                std::exit(0);
            default:
                usage("unknown option");
        }
    }
    if (optind + 1 != argc) usage("one FILE.so is wanted");
    command.file = std::filesystem::absolute(argv[optind]).string();
    return command;
}

const gorb_entry* open_entry(const std::string& file) {
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error(dlerror());
    const void* symbol = dlsym(library, "gorb_plugin_entry");
    if (!symbol) throw std::runtime_error("it has no symbol gorb_plugin_entry");
    return static_cast<const gorb_entry*>(symbol);
}

// Runs in a process of its own: what a plugin does to it is a finding and not the end.
int check(const Command& command, Progress* progress) {
    using gorb::check::Findings;
    Findings findings([&](const std::string& name) {
        std::snprintf(progress->doing, sizeof progress->doing, "%s", name.c_str());
    });
    findings.check("the library exports gorb_plugin_entry and nothing else", [&] {
        const auto elf = gorb::check::read_elf(command.file);
        bool found = false;
        size_t others = 0;
        std::string example;
        for (const std::string& name : elf.exports) {
            if (name == "gorb_plugin_entry")
                found = true;
            else if (others++ == 0)
                example = name;
        }
        if (!found) findings.fault("gorb_plugin_entry is missing");
        if (others)
            findings.fault(std::to_string(others) + " other symbols, " + example +
                           " for one: link with the SDK's version script and -fvisibility=hidden");
        if (elf.executable_stack) findings.fault("it asks for an executable stack");
    });
    const gorb_entry* entry = nullptr;
    findings.check("the library loads with all symbols bound", [&] { entry = open_entry(command.file); });
    if (!entry || !gorb::check::check_entry(*entry, findings)) return 1;

    bool loaded = true;
    findings.check("load() succeeds", [&] {
        gorb_error why{};
        if (!entry->load || entry->load(&why) == 0) return;
        loaded = false;
        findings.fault(why.text[0] ? why.text : "it failed without a word");
    });
    bool any = false;
    for (const gorb_plugin* const* at = entry->plugins; loaded && *at; ++at) {
        const std::string name = (*at)->name ? (*at)->name : "without a name";
        if (!command.only.empty() && command.only != name) continue;
        any = true;
        findings.prefix(name + ": ");
        if (!gorb::check::check_plugin(**at, findings)) continue;
        if (std::strcmp((*at)->kind, GORB_KIND_PULSE) == 0) {
            gorb::check::mistreat_pulse(**at, command.settings, findings);
        } else {
            findings.check(std::string("kind ") + (*at)->kind + ": only its tables are checked", [] {});
        }
    }
    findings.prefix("");
    if (loaded && !any)
        findings.check("plugin " + command.only + " is in the library", [&] { findings.fault("it is not"); });
    if (loaded) {
        findings.check("unload() returns", [&] {
            if (entry->unload) entry->unload();
        });
    }
    std::printf("%d checks, %d failed\n", findings.checks(), findings.failed());
    return findings.failed() ? 1 : 0;
}

int watch_over(const Command& command) {
    constexpr int found = 3;  // of the child; 1 may be anybody's, e.g. a sanitizer's
    void* shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) usage("out of memory");
    auto* progress = static_cast<Progress*>(shared);
    const pid_t child = fork();
    if (child < 0) usage(std::strerror(errno));
    if (child == 0) {
        alarm(command.limit);
        std::exit(check(command, progress) == 0 ? 0 : found);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == found) return 1;
    if (WIFSIGNALED(status)) {
        const int signal = WTERMSIG(status);
        const std::string what = signal == SIGALRM
                                     ? "did not come back within " + std::to_string(command.limit) + " s"
                                     : "took the process with it (" + std::string(strsignal(signal)) + ")";
        std::printf("FAIL %s\n       the plugin %s\n", progress->doing, what.c_str());
    } else {
        std::printf("FAIL the process of the checks ended with status %d after: %s\n", WEXITSTATUS(status),
                    progress->doing);
    }
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    const Command command = parse(argc, argv);
    if (!command.markdown) return watch_over(command);
    try {
        std::fputs(gorb::check::options_markdown(*open_entry(command.file)).c_str(), stdout);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "gorb-plugin-check: %s\n", e.what());
        return 1;
    }
}
