// What the tests of the database share: folders, writes that are waited for, states that can be compared,
// children.
#pragma once
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "store/database.h"
#include "unit/model/random_model.h"
#include "unit/store/working.h"

namespace gorb::store {

namespace fs = std::filesystem;

// In memory where there is room: nothing here depends on what a real disk does, and each of the thousands of
// databases is synced several times.
inline fs::path quick_folder() {
    const fs::path memory = "/dev/shm";
    std::error_code error;
    const auto room = fs::space(memory, error);
    const bool good = !error && room.available > (256U << 20) && access(memory.c_str(), W_OK) == 0;
    return good ? memory : fs::temp_directory_path();
}

class Folder {
  public:
    Folder() {
        std::string name = (quick_folder() / "gorb-store-XXXXXX").string();
        EXPECT_NE(mkdtemp(name.data()), nullptr);
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    fs::path store() const { return path_ / "store"; }
    fs::path file() const { return store() / "gorb.db"; }
    fs::path operator/(const std::string& name) const { return path_ / name; }

  private:
    fs::path path_;
};

inline std::string bytes_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_bytes(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
// What SQLite says against it, "" for nothing.
inline std::string run_sql(const fs::path& file, const std::string& sql) {
    sqlite3* db = nullptr;
    sqlite3_open(file.c_str(), &db);
    char* words = nullptr;
    sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &words);
    std::string out = words ? words : "";
    sqlite3_free(words);
    sqlite3_close(db);
    return out;
}
// The names in a folder that begin with `prefix`, sorted.
inline std::vector<std::string> names(const fs::path& folder, const std::string& prefix) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(prefix)) found.push_back(name);
    }
    std::ranges::sort(found);
    return found;
}

inline base::Status put(Database& db, Write write) {
    return write_now(db, std::move(write));
}
inline base::Status rewritten(Database& db, Loaded all) {
    std::promise<base::Status> answer;
    db.rewrite(std::move(all), [&answer](base::Status status) { answer.set_value(std::move(status)); });
    while (db.work()) {
    }
    return answer.get_future().get();
}

inline model::ServicePtr service(const std::string& name, const std::string& vip, uint64_t revision = 1) {
    model::ServiceEntry entry;
    entry.spec.name = name;
    entry.spec.key.vip = *base::Endpoint::parse(vip);
    entry.spec.netmask = static_cast<uint8_t>(entry.spec.key.vip.ip.bits());
    entry.revision = revision;
    return std::make_shared<const model::ServiceEntry>(std::move(entry));
}
inline model::BackendPtr backend(const std::string& name, const std::string& address, uint64_t revision = 1) {
    model::BackendEntry entry;
    entry.spec.name = name;
    entry.spec.address = *base::Endpoint::parse(address);
    entry.revision = revision;
    return std::make_shared<const model::BackendEntry>(std::move(entry));
}
// Service "web" of the revision, which is its weight of a backend too, so that each write says another thing.
inline Write numbered(uint64_t revision) {
    Write write;
    write.revision = revision;
    auto entry = *backend("b" + std::to_string(revision % 7),
                          "10.1.0." + std::to_string(1 + revision % 7) + ":80", revision);
    entry.spec.weight = static_cast<uint32_t>(revision % 60000);
    write.put_services = {service("web", "10.0.0.1:80", revision)};
    write.put_backends = {{"web", std::make_shared<const model::BackendEntry>(std::move(entry))}};
    return write;
}

// What numbered(1) .. numbered(revision) leave.
inline Loaded state_at(uint64_t revision) {
    Loaded all;
    all.revision = revision;
    if (revision == 0) return all;
    Loaded::ServiceRow row{service("web", "10.0.0.1:80")->spec, revision, model::Origin::api, {}};
    std::map<std::string, Loaded::BackendRow> backends;
    for (uint64_t r = revision > 7 ? revision - 6 : 1; r <= revision; ++r) {
        const auto made = numbered(r).put_backends.front().second;
        backends[made->spec.name] = {made->spec, r, {}};
    }
    for (const auto& [name, made] : backends) row.backends.push_back(made);
    all.services.push_back(row);
    return all;
}

// A Write that makes everything of `all` in an empty database.
inline Write write_of(const Loaded& all) {
    Write write;
    write.revision = all.revision;
    for (const auto& row : all.services) {
        auto entry = std::make_shared<model::ServiceEntry>();
        entry->spec = row.spec;
        entry->revision = row.revision;
        entry->origin = row.origin;
        write.put_services.push_back(entry);
        for (const auto& b : row.backends) {
            write.put_backends.emplace_back(row.spec.name,
                                            std::make_shared<const model::BackendEntry>(
                                                model::BackendEntry{b.spec, 1, b.revision, b.drain_since}));
            if (b.health != Health{}) write.health.push_back({{row.spec.name, b.spec.name}, b.health});
        }
    }
    write.leaving = all.leaving;
    write.vips_added = all.vips;
    return write;
}

// "" if they are equal, else the first difference. The identity counts only where both have one.
inline std::string difference_of(Loaded a, Loaded b) {
    if (a.revision != b.revision)
        return "revision " + std::to_string(a.revision) + " and " + std::to_string(b.revision);
    if (!a.identity.empty() && !b.identity.empty() && a.identity != b.identity) return "identity";
    if (a.services.size() != b.services.size()) return "number of services";
    for (size_t i = 0; i < a.services.size(); ++i) {
        const auto &x = a.services[i], &y = b.services[i];
        if (!(x.spec == y.spec) || x.revision != y.revision || x.origin != y.origin)
            return "service " + x.spec.name;
        if (x.backends.size() != y.backends.size()) return "backends of " + x.spec.name;
        for (size_t k = 0; k < x.backends.size(); ++k) {
            const auto &p = x.backends[k], &q = y.backends[k];
            if (!(p.spec == q.spec) || p.revision != q.revision || !(p.health == q.health) ||
                p.drain_since != q.drain_since)
                return "backend " + x.spec.name + "/" + p.spec.name;
        }
    }
    std::ranges::sort(a.leaving);
    std::ranges::sort(b.leaving);
    if (!std::ranges::equal(a.leaving, b.leaving, [](const Leaving& x, const Leaving& y) {
            return x == y && x.granted == y.granted;
        }))
        return "leaving";
    std::ranges::sort(a.vips);
    std::ranges::sort(b.vips);
    return a.vips == b.vips ? "" : "vips";
}

// A state of everything that there can be.
inline Loaded random_state(uint64_t seed, size_t services) {
    model::Random random(seed);
    Loaded all;
    all.revision = 1 + random.below(1'000'000);
    std::map<std::string, Loaded::ServiceRow> rows;
    std::map<model::ServiceKey, bool> keys;
    while (rows.size() < services) {
        Loaded::ServiceRow row;
        row.spec = random.service();
        row.spec.deleting = random.below(4) == 0;
        row.revision = random.below(all.revision);
        row.origin = random.coin() ? model::Origin::api : model::Origin::file;
        if (!keys.emplace(row.spec.key, true).second) continue;
        std::map<std::string, Loaded::BackendRow> backends;
        std::map<base::Endpoint, bool> addresses;
        for (uint64_t n = random.below(8); n > 0; --n) {
            Loaded::BackendRow made;
            made.spec = random.backend();
            made.revision = random.below(all.revision);
            if (random.coin())
                made.health = {random.one_of({Health::State::up, Health::State::down}),
                               static_cast<int64_t>(random.below(1ULL << 62)),
                               static_cast<int64_t>(random.below(1ULL << 62)),
                               random.one_of<uint8_t>({0, 40, 100})};
            if (random.coin()) made.drain_since = static_cast<int64_t>(random.below(1ULL << 62));
            if (!addresses.emplace(made.spec.address, true).second) continue;
            backends.emplace(made.spec.name, made);
        }
        for (auto& [name, made] : backends) row.backends.push_back(made);
        rows.emplace(row.spec.name, row);
    }
    for (auto& [name, row] : rows) all.services.push_back(row);
    for (uint64_t n = random.below(5); n > 0; --n) {
        Leaving leaving{{random.one_of({model::Protocol::tcp, model::Protocol::udp}), random.endpoint()}, {}};
        if (random.coin()) leaving.backend = random.endpoint();
        leaving.granted = random.coin();
        all.leaving.push_back(leaving);
    }
    for (uint64_t n = random.below(5); n > 0; --n) all.vips.push_back(random.endpoint().ip);
    std::ranges::sort(all.vips);
    all.vips.erase(std::unique(all.vips.begin(), all.vips.end()), all.vips.end());
    return all;
}

inline std::unique_ptr<Database> opened(const fs::path& folder, const OpenOptions& options = {}) {
    auto db = open_database(folder, options);
    EXPECT_TRUE(db) << (db ? "" : db.error().sentence);
    return db ? std::make_unique<Working>(std::move(*db)) : nullptr;
}
// What a database there holds.
inline Loaded reopened(const fs::path& folder) {
    auto db = opened(folder);
    if (!db) return {};
    auto all = db->load();
    EXPECT_TRUE(all) << (all ? "" : all.error().sentence);
    return all ? *all : Loaded{};
}
// What becomes of opening and loading there: "" for good.
inline std::string refusal(const fs::path& folder) {
    auto db = open_database(folder);
    if (!db) return db.error().sentence;
    auto all = (*db)->load();
    return all ? "" : all.error().sentence;
}

// Runs it in a child, which has no threads of ours; its exit status, or 256 and the signal.
template <class Run>
int in_child(Run&& run) {
    const pid_t child = fork();
    if (child == 0) {
        int status = 99;
        try {
            status = run();
        } catch (...) {
        }
        _exit(status);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

}  // namespace gorb::store
