// Durable puts a second through store::Database beside bare SQLite, and how long loading takes.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bare.h"
#include "base/json.h"
#include "model/codec.h"
#include "store/database.h"
#include "unit/store/working.h"
#include "whole.h"

namespace gorb::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    double seconds = 2;
    int rounds = 5, services = 10'000, backends = 10;
    std::filesystem::path folder = ".";
    bool check = false;
};

constexpr double goal = 0.7;       // of bare SQLite's puts, over REST
constexpr double load_goal = 0.5;  // seconds, of 10,000 x 10

double since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Of this thread: what a busy machine does not change much.
double cpu() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double median(std::vector<double> all) {
    std::ranges::sort(all);
    return all[all.size() / 2];
}

std::string address(int n, int net, int port) {
    return std::to_string(net) + "." + std::to_string(n / 65536) + "." + std::to_string(n / 256 % 256) + "." +
           std::to_string(n % 256) + ":" + std::to_string(port);
}

model::Backend backend(int n, uint32_t weight) {
    model::Backend b;
    b.name = "backend-" + std::to_string(n);
    b.address = *base::Endpoint::parse(address(n, 172, 8080));
    b.weight = weight;
    model::PulseSpec pulse;
    pulse.type = "http";
    pulse.interval = std::chrono::seconds(5);
    pulse.args = {{"path", "\"/healthz\""}, {"expect", "\"200\""}};
    b.pulses = std::vector<model::PulseSpec>{pulse};
    return b;
}

model::Service service(int n) {
    model::Service s;
    s.name = "service-" + std::to_string(n);
    s.key.vip = *base::Endpoint::parse(address(n, 10, 80));
    return s;
}

// What a writer sleeps on.
class Signal {
  public:
    void give() {
        std::lock_guard guard(lock_);
        given_ = true;
        changed_.notify_one();
    }
    void wait() {
        std::unique_lock guard(lock_);
        changed_.wait(guard, [this] { return given_; });
        given_ = false;
    }

  private:
    std::mutex lock_;
    std::condition_variable changed_;
    bool given_ = false;
};

// `writers` threads; each puts and waits, puts and waits. How many puts a second.
template <class Put>
double puts(int writers, double seconds, Put&& put) {
    std::atomic<bool> over{false};
    std::atomic<uint64_t> count{0};
    std::vector<std::thread> threads;
    threads.reserve(static_cast<size_t>(writers));
    const auto begin = Clock::now();
    for (int w = 0; w < writers; ++w) {
        threads.emplace_back([&, w] {
            Signal durable;
            for (uint32_t n = 0; !over; ++n) {
                put(w, n, durable);
                durable.wait();
                ++count;
            }
        });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    over = true;
    for (auto& thread : threads) thread.join();
    return static_cast<double>(count) / since(begin);
}

class Folder {
  public:
    explicit Folder(const std::filesystem::path& where)
        : path_(where / ("bench-store-" + std::to_string(getpid()))) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

std::unique_ptr<store::Database> open(const std::filesystem::path& folder) {
    auto db = store::open_database(folder);
    if (db) return std::make_unique<store::Working>(std::move(*db));
    std::fprintf(stderr, "%s\n", db.error().sentence.c_str());
    std::exit(1);
}

void must(const base::Status& status) {
    if (status) return;
    std::fprintf(stderr, "%s\n", status.error().sentence.c_str());
    std::exit(1);
}

// Whether the goal is met.
bool compare(const Options& options, int writers) {
    const Folder folder(options.folder);
    std::vector<double> bare_puts, store_puts, ratios, rest_puts, rest_ratios, socket_puts, socket_ratios;
    std::string value;
    {
        base::StringSink sink(value);
        base::JsonWriter writer(sink);
        model::write_backend_settings(writer, backend(1, 1000));
    }
    value += std::string(40, ' ');  // the other columns
    const auto db = open(folder.path() / "store");
    store::Write all;
    all.put_services = {
        std::make_shared<const model::ServiceEntry>(model::ServiceEntry{service(1), 1, {}, {}, {}})};
    db->write(all, must);
    Bare bare(folder.path() / "bare.db");
    Whole whole(folder.path() / "whole");
    const BareServer server(folder.path() / "socket.db", value, Whole::answer_like());
    std::atomic<uint64_t> revision{1};
    for (int round = 0; round < options.rounds; ++round) {
        bare_puts.push_back(puts(writers, options.seconds, [&](int w, uint32_t n, Signal& durable) {
            const int row = static_cast<int>((n * 32 + static_cast<uint32_t>(w)) % rows_put);
            std::string text = value;
            text.replace(10, 8, std::to_string(10'000'000 + n + static_cast<uint32_t>(round) * 1'000'000));
            bare.put("service-1 backend-" + std::to_string(row), std::move(text),
                     [&durable] { durable.give(); });
        }));
        store_puts.push_back(puts(writers, options.seconds, [&](int w, uint32_t n, Signal& durable) {
            const int row = static_cast<int>((n * 32 + static_cast<uint32_t>(w)) % rows_put);
            store::Write write;
            write.revision = ++revision;
            write.put_backends.emplace_back(
                "service-1", std::make_shared<const model::BackendEntry>(
                                 model::BackendEntry{backend(row, n % 60'000), 1, write.revision}));
            db->write(std::move(write), [&durable](const base::Status& status) {
                must(status);
                durable.give();
            });
        }));
        ratios.push_back(store_puts.back() / bare_puts.back());
        rest_puts.push_back(whole.puts(writers, options.seconds));
        rest_ratios.push_back(rest_puts.back() / bare_puts.back());
        socket_puts.push_back(Whole::puts(server.port(), writers, options.seconds));
        socket_ratios.push_back(socket_puts.back() / bare_puts.back());
    }
    const auto status = db->status();
    std::printf(
        "%2d writers   bare SQLite %8.0f durable puts/s   gorb's store %8.0f   ratio %.2f   (%.1f puts a "
        "transaction)\n"
        "%2d writers                                      over REST    %8.0f   ratio %.2f   (goal >= "
        "%.2f)%s\n"
        "%2d writers   bare SQLite behind a socket         %8.0f   ratio %.2f\n",
        writers, median(bare_puts), median(store_puts), median(ratios),
        static_cast<double>(status.writes) / static_cast<double>(status.transactions), writers,
        median(rest_puts), median(rest_ratios), goal, median(rest_ratios) < goal ? "  MISSED" : "", writers,
        median(socket_puts), median(socket_ratios));
    std::fflush(stdout);
    return median(rest_ratios) >= goal;
}

// Whether the goal is met.
bool load(const Options& options) {
    const Folder folder(options.folder);
    store::Loaded all;
    all.revision = 1;
    for (int s = 0; s < options.services; ++s) {
        store::Loaded::ServiceRow row{service(s), 1, model::Origin::api, {}};
        for (int b = 0; b < options.backends; ++b) {
            row.backends.push_back(
                {backend(s * options.backends + b, 100), 1, {store::Health::State::up, 1, 0}});
        }
        all.services.push_back(std::move(row));
    }
    std::ranges::sort(all.services, {}, [](const auto& row) { return row.spec.name; });
    {
        const auto db = open(folder.path() / "store");
        Signal over;
        const auto begin = Clock::now();
        db->rewrite(std::move(all), [&over](const base::Status& status) {
            must(status);
            over.give();
        });
        over.wait();
        std::printf("%d x %d       %.0f ms to write all of it anew\n", options.services, options.backends,
                    since(begin) * 1e3);
    }
    std::vector<double> opening, loading, used;
    for (int round = 0; round < options.rounds; ++round) {
        auto begin = Clock::now();
        const auto db = open(folder.path() / "store");
        opening.push_back(since(begin));
        begin = Clock::now();
        const double cpu_before = cpu();
        const auto loaded = db->load();
        used.push_back(cpu() - cpu_before);
        loading.push_back(since(begin));
        if (!loaded || loaded->services.size() != static_cast<size_t>(options.services)) std::abort();
    }
    std::printf(
        "%d x %d       %.0f ms to open, %.0f ms to load (the quickest: %.0f ms; CPU %.0f ms; goal < %.0f)%s, "
        "%.1f MB\n",
        options.services, options.backends, median(opening) * 1e3, median(loading) * 1e3,
        *std::ranges::min_element(loading) * 1e3, median(used) * 1e3, load_goal * 1e3,
        median(loading) < load_goal ? "" : "  MISSED",
        static_cast<double>(std::filesystem::file_size(folder.path() / "store" / "gorb.db")) / 1e6);
    return median(loading) < load_goal;
}

}  // namespace
}  // namespace gorb::bench

int main(int argc, char** argv) {
    gorb::bench::Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--check") {
            options.check = true;
            continue;
        }
        const std::string value = ++i < argc ? argv[i] : "";
        if (name == "--seconds") options.seconds = std::max(0.01, std::atof(value.c_str()));
        if (name == "--rounds") options.rounds = std::max(1, std::atoi(value.c_str()));
        if (name == "--services") options.services = std::max(1, std::atoi(value.c_str()));
        if (name == "--backends") options.backends = std::max(1, std::atoi(value.c_str()));
        if (name == "--folder") options.folder = value;
    }
    bool met = true;
    for (const int writers : {1, 8, 32}) met = gorb::bench::compare(options, writers) && met;
    met = gorb::bench::load(options) && met;
    return options.check && !met ? 1 : 0;
}
