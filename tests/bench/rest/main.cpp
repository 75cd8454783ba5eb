// bench_rest: CPU time and latency of gorb's REST server and API beside Poco's plain HTTPServer. See
// ../README.md.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "load.h"
#include "servers.h"

namespace gorb::bench {
namespace {

struct Settings {
    double seconds = 1;
    int rounds = 3;
    int backends = 10'000;
    bool check = false;
    std::string only;   // "GET", "PATCH", "LIST"; "" for all
    std::string store;  // folder for gorb's desired state, "" for memory
    bool wants(std::string_view what) const { return only.empty() || only == what; }
};

// The first processor that we may use for what is measured, the last for the load.
void pin(bool load) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    int chosen = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed) && (load || chosen < 0)) chosen = cpu;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    sched_setaffinity(0, sizeof one, &one);
}

// A server in a process of its own. This process stays without threads, so it may fork whenever it likes.
class Process {
  public:
    explicit Process(const std::function<void(const Ready&, const Stop&)>& serve) {
        int ready[2], stop[2];
        if (pipe(ready) != 0 || pipe(stop) != 0) std::abort();
        pid_ = fork();
        if (pid_ == 0) {
            close(ready[0]);
            close(stop[1]);
            pin(false);
            serve(
                [&](uint16_t port) {
                    if (write(ready[1], &port, sizeof port) != static_cast<ssize_t>(sizeof port)) _exit(1);
                },
                [&] {
                    char byte = 0;
                    [[maybe_unused]] const auto end = read(stop[0], &byte, 1);
                });
            _exit(0);
        }
        close(ready[1]);
        close(stop[0]);
        stop_ = stop[1];
        if (read(ready[0], &port_, sizeof port_) != static_cast<ssize_t>(sizeof port_)) std::exit(1);
        close(ready[0]);
    }
    ~Process() {
        close(stop_);
        waitpid(pid_, nullptr, 0);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    int pid() const { return pid_; }
    uint16_t port() const { return port_; }

  private:
    pid_t pid_ = -1;
    int stop_ = -1;
    uint16_t port_ = 0;
};

// The load, in a process of its own as well.
Figures measure(const Load& load) {
    int result[2];
    if (pipe(result) != 0) std::abort();
    const pid_t pid = fork();
    if (pid == 0) {
        pin(true);
        const Figures figures = run(load);
        _exit(write(result[1], &figures, sizeof figures) == static_cast<ssize_t>(sizeof figures) ? 0 : 1);
    }
    close(result[1]);
    Figures figures;
    const bool good = read(result[0], &figures, sizeof figures) == static_cast<ssize_t>(sizeof figures);
    close(result[0]);
    waitpid(pid, nullptr, 0);
    if (!good) std::exit(1);
    return figures;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

struct Series {
    std::vector<double> cpu_us, best_ms, p50_ms, p99_ms;
    uint64_t answers = 0, failures = 0;
    double seconds = 0;
    void add(const Figures& f) {
        cpu_us.push_back(f.cpu_us);
        best_ms.push_back(f.best_ms);
        p50_ms.push_back(f.p50_ms);
        p99_ms.push_back(f.p99_ms);
        answers += f.answers;
        failures += f.failures;
        seconds += f.seconds;
    }
};

void print(const char* what, int connections, const char* who, const Series& s) {
    std::printf("%-6s %4d %-5s %8.1f us cpu  %8.2f ms p99  %8.2f ms p50  %8.0f requests/s  %llu failed\n",
                what, connections, who, median(s.cpu_us), median(s.p99_ms), median(s.p50_ms),
                static_cast<double>(s.answers) / s.seconds, static_cast<unsigned long long>(s.failures));
    std::fflush(stdout);
}

// Ratios against `goal`, "" where there is none.
bool print_ratio(const char* what, int connections, double ratio, double goal) {
    std::printf("%-6s %4d ratio %8.2f of Poco's cpu", what, connections, ratio);
    if (goal > 0) std::printf(", goal <= %.2f: %s", goal, ratio <= goal ? "met" : "MISSED");
    std::printf("\n");
    std::fflush(stdout);
    return goal <= 0 || ratio <= goal;
}

// Of another backend each time: those of one are a transaction each, and wait for each other.
std::vector<std::string> patches(int backends) {
    std::vector<std::string> requests;
    for (const char* body : {R"({"weight": 50})", R"({"weight": 60})"}) {
        for (int i = 0; i < std::min(backends, 997); ++i)
            requests.push_back(request("PATCH", "/service/many/b" + std::to_string(i), body));
    }
    return requests;
}

int bench(const Settings& settings) {
    const Process gorb([&](const Ready& ready, const Stop& stop) {
        serve_gorb(settings.backends, settings.store, ready, stop);
    });
    const std::string backend = get(gorb.port(), "/service/one/b");
    if (backend.empty()) {
        std::fprintf(stderr, "bench_rest: gorb does not answer\n");
        return 1;
    }
    const int most = 256;
    const Process poco([&](const Ready& ready, const Stop& stop) {
        serve_poco(backend, settings.backends, most + 8, ready, stop);
    });
    const size_t poco_size = get(poco.port(), "/service/one/b").size();
    std::printf("object: %zu bytes from gorb, %zu from Poco\n", backend.size(), poco_size);

    bool met = true;
    uint64_t failures = 0;
    const std::vector<std::pair<const char*, std::vector<std::string>>> kinds = {
        {"GET", {request("GET", "/service/one/b")}},
        {"PATCH",
         {request("PATCH", "/service/one/b", R"({"weight": 50})"),
          request("PATCH", "/service/one/b", R"({"weight": 60})")}}};
    for (const auto& [what, requests] : kinds) {
        if (!settings.wants(what)) continue;
        const bool durable = !settings.store.empty() && std::string_view(what) == "PATCH";
        const std::vector<std::string> to_gorb = durable ? patches(settings.backends) : requests;
        for (const int connections : {1, 32, most}) {
            Series ours, theirs;
            for (int round = 0; round < settings.rounds; ++round) {
                ours.add(measure({gorb.port(), gorb.pid(), to_gorb, connections, settings.seconds}));
                theirs.add(measure({poco.port(), poco.pid(), requests, connections, settings.seconds}));
            }
            print(what, connections, "gorb", ours);
            print(what, connections, "Poco", theirs);
            const double goal = connections != 32 ? 0 : std::string_view(what) == "GET" ? 0.45 : 0.65;
            met = print_ratio(what, connections, median(ours.cpu_us) / median(theirs.cpu_us), goal) && met;
            failures += ours.failures;
        }
    }
    if (settings.wants("LIST")) {
        Series ours, theirs;
        const std::vector<std::string> list = {request("GET", "/service/many?expand=backends")};
        for (int round = 0; round < settings.rounds; ++round) {
            ours.add(measure({gorb.port(), gorb.pid(), list, 1, settings.seconds}));
            theirs.add(measure({poco.port(), poco.pid(), list, 1, settings.seconds}));
        }
        print("LIST", 1, "gorb", ours);
        print("LIST", 1, "Poco", theirs);
        // The best: whatever else the machine does only adds to it.
        const double took = *std::min_element(ours.best_ms.begin(), ours.best_ms.end());
        std::printf("LIST   of %d backends (%zu bytes) in %.1f ms at best, goal for 10000 <= 15: %s\n",
                    settings.backends, get(gorb.port(), "/service/many?expand=backends").size(), took,
                    took <= 15 ? "met" : "MISSED");
        met = met && took <= 15;
        failures += ours.failures;
    }
    if (failures > 0)
        std::printf("%llu requests to gorb FAILED\n", static_cast<unsigned long long>(failures));
    return failures > 0 || (settings.check && !met) ? 1 : 0;
}

}  // namespace
}  // namespace gorb::bench

int main(int argc, char** argv) {
    gorb::bench::Settings settings;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "";
        if (option == "--check") {
            settings.check = true;
            continue;
        }
        if (option == "--seconds") {
            settings.seconds = std::atof(value);
        } else if (option == "--rounds") {
            settings.rounds = std::atoi(value);
        } else if (option == "--backends") {
            settings.backends = std::atoi(value);
        } else if (option == "--only") {
            settings.only = value;
        } else if (option == "--store") {
            settings.store = value;
        } else {
            settings.rounds = 0;
        }
        ++i;
    }
    if (settings.rounds <= 0 || settings.seconds <= 0 || settings.backends <= 0 ||
        settings.backends > 60'000) {
        std::fprintf(stderr,
                     "usage: bench_rest [--seconds S] [--rounds N] [--backends N] [--only GET|PATCH|LIST] "
                     "[--store FOLDER] [--check]\n");
        return 2;
    }
    return gorb::bench::bench(settings);
}
