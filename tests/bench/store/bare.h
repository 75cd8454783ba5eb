// SQLite with nothing around it but a thread that commits what waits: what gorb's store is held against.
#pragma once
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace gorb::bench {

class Bare {
  public:
    // A new file with the pragmas of gorb's.
    explicit Bare(const std::filesystem::path& file);
    ~Bare();
    // `done` when it is durable.
    void put(std::string key, std::string value, std::function<void()> done);

  private:
    struct Job {
        std::string key, value;
        std::function<void()> done;
    };
    void run(const std::filesystem::path& file);

    std::mutex lock_;
    std::condition_variable more_;
    std::deque<Job> queue_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace gorb::bench
