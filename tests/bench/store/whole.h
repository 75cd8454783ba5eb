// gorb's API over a table in memory and a database on disk: a durable change with all that belongs to it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace gorb::bench {

class Whole {
  public:
    explicit Whole(const std::filesystem::path& folder);
    ~Whole();
    Whole(const Whole&) = delete;
    Whole& operator=(const Whole&) = delete;

    // PUTs of backends over HTTP that were answered with 200 in a second, from so many connections.
    double puts(int writers, double seconds);
    // The same requests to another server on that port.
    static double puts(uint16_t port, int writers, double seconds);
    // An answer as long as gorb's.
    static std::string answer_like();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace gorb::bench
