#include "bare.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace gorb::bench {
namespace {

void must(int code) {
    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
    std::fprintf(stderr, "bare SQLite: %s\n", sqlite3_errstr(code));
    std::abort();
}

int must_call(const char* what, int result) {
    if (result >= 0) return result;
    std::perror(what);
    std::abort();
}

void step(sqlite3_stmt* statement) {
    must(sqlite3_step(statement));
    must(sqlite3_reset(statement));
}

}  // namespace

struct BareFile::Statements {
    sqlite3* db = nullptr;
    sqlite3_stmt *put = nullptr, *begin = nullptr, *commit = nullptr;
};

BareFile::BareFile(const std::filesystem::path& file) : statements_(std::make_unique<Statements>()) {
    Statements& s = *statements_;
    must(sqlite3_open_v2(file.c_str(), &s.db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr));
    must(sqlite3_exec(s.db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                      "CREATE TABLE row (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
                      nullptr, nullptr, nullptr));
    must(sqlite3_prepare_v2(s.db,
                            "INSERT INTO row (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = "
                            "excluded.value",
                            -1, &s.put, nullptr));
    must(sqlite3_prepare_v2(s.db, "BEGIN IMMEDIATE", -1, &s.begin, nullptr));
    must(sqlite3_prepare_v2(s.db, "COMMIT", -1, &s.commit, nullptr));
}

BareFile::~BareFile() {
    for (sqlite3_stmt* statement : {statements_->put, statements_->begin, statements_->commit})
        sqlite3_finalize(statement);
    sqlite3_close(statements_->db);
}

void BareFile::commit(const std::vector<Row>& rows) {
    step(statements_->begin);
    for (const auto& [key, value] : rows) {
        sqlite3_bind_text(statements_->put, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
        sqlite3_bind_text(statements_->put, 2, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
        step(statements_->put);
    }
    step(statements_->commit);
}

Bare::Bare(const std::filesystem::path& file) : file_(file), thread_([this] { run(); }) {}

Bare::~Bare() {
    {
        std::lock_guard guard(lock_);
        ending_ = true;
    }
    more_.notify_one();
    thread_.join();
}

void Bare::put(std::string key, std::string value, std::function<void()> done) {
    {
        std::lock_guard guard(lock_);
        rows_.emplace_back(std::move(key), std::move(value));
        dones_.push_back(std::move(done));
    }
    more_.notify_one();
}

void Bare::run() {
    for (;;) {
        std::vector<BareFile::Row> rows;
        std::vector<std::function<void()>> dones;
        {
            std::unique_lock guard(lock_);
            more_.wait(guard, [this] { return ending_ || !rows_.empty(); });
            rows.swap(rows_);
            dones.swap(dones_);
        }
        if (rows.empty()) break;
        file_.commit(rows);
        for (const auto& done : dones) done();
    }
}

BareServer::BareServer(const std::filesystem::path& file, std::string value, std::string answer)
    : file_(file), value_(std::move(value)), answer_(std::move(answer)) {
    listener_ = must_call("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    end_ = must_call("eventfd", eventfd(0, EFD_CLOEXEC));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    must_call("bind", bind(listener_, raw, size));
    must_call("listen", listen(listener_, 128));
    must_call("getsockname", getsockname(listener_, raw, &size));
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
}

BareServer::~BareServer() {
    const uint64_t one = 1;
    if (write(end_, &one, sizeof one) != sizeof one) std::abort();
    thread_.join();
    close(end_);
    close(listener_);
}

void BareServer::run() {
    std::vector<pollfd> watched{{end_, POLLIN, 0}, {listener_, POLLIN, 0}};
    std::vector<BareFile::Row> waiting;
    std::vector<int> askers;
    std::array<char, 65536> buffer;
    for (int row = 0;;) {
        must_call("poll", poll(watched.data(), watched.size(), -1));
        if (watched[0].revents != 0) break;
        waiting.clear();
        askers.clear();
        for (size_t i = 2; i < watched.size(); ++i) {
            if (watched[i].revents == 0) continue;
            if (recv(watched[i].fd, buffer.data(), buffer.size(), 0) <= 0) {
                close(watched[i].fd);
                watched.erase(watched.begin() + static_cast<ptrdiff_t>(i--));
                continue;
            }
            waiting.emplace_back("service-1 backend-" + std::to_string(row++ % rows_put), value_);
            askers.push_back(watched[i].fd);
        }
        if (watched[1].revents != 0) {
            const int fd = must_call("accept", accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
            const int yes = 1;
            must_call("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
            watched.push_back({fd, POLLIN, 0});
        }
        if (waiting.empty()) continue;
        // Not the same value twice, as whoever changes something does not write it either.
        for (auto& [key, value] : waiting) value.replace(10, 8, std::to_string(10'000'000 + row));
        file_.commit(waiting);
        for (const int fd : askers) send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
    for (size_t i = 2; i < watched.size(); ++i) close(watched[i].fd);
}

}  // namespace gorb::bench
