// SQLite with nothing around it but a thread that commits what waits: what gorb's store is held against. And
// the same thread at the end of a socket: the least that a durable change over REST can cost on the machine,
// since its client waits there.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gorb::bench {

inline constexpr int rows_put = 1000;  // again and again

// A new file with the pragmas of gorb's. Threads: one at a time.
class BareFile {
  public:
    using Row = std::pair<std::string, std::string>;  // key, value

    explicit BareFile(const std::filesystem::path& file);
    ~BareFile();
    BareFile(const BareFile&) = delete;
    BareFile& operator=(const BareFile&) = delete;
    // One transaction; durable when it returns.
    void commit(const std::vector<Row>& rows);

  private:
    struct Statements;
    std::unique_ptr<Statements> statements_;
};

class Bare {
  public:
    explicit Bare(const std::filesystem::path& file);
    ~Bare();
    // `done` when it is durable.
    void put(std::string key, std::string value, std::function<void()> done);

  private:
    void run();

    BareFile file_;
    std::mutex lock_;
    std::condition_variable more_;
    std::vector<BareFile::Row> rows_;
    std::vector<std::function<void()>> dones_;
    bool ending_ = false;
    std::thread thread_;
};

// Takes what comes on a connection at once for a request, commits `value` for all that have come together,
// and answers with `answer` each.
class BareServer {
  public:
    BareServer(const std::filesystem::path& file, std::string value, std::string answer);
    ~BareServer();
    uint16_t port() const { return port_; }

  private:
    void run();

    BareFile file_;
    const std::string value_, answer_;
    int listener_ = -1, end_ = -1;  // end_: an eventfd
    uint16_t port_ = 0;
    std::thread thread_;
};

}  // namespace gorb::bench
