// The lines that gorb-plugin-check prints: one for each check, "ok" or "FAIL" with what was found.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gorb::check {

class Findings {
  public:
    // `started` is told the name of every check before it begins, so that a crash can be named.
    explicit Findings(std::function<void(const std::string&)> started) : started_(std::move(started)) {}

    // Within `body`, fault() says what is wrong. An exception is a fault too.
    void check(const std::string& name, const std::function<void()>& body);
    void fault(const std::string& words) { faults_.push_back(words); }
    // Something worth knowing that is no fault.
    void note(const std::string& words) { notes_.push_back(words); }
    // Words before the name of every check ("pulse tcp: "), until they are replaced.
    void prefix(const std::string& words) { prefix_ = words; }

    int checks() const { return checks_; }
    int failed() const { return failed_; }

  private:
    std::function<void(const std::string&)> started_;
    std::string prefix_;
    std::vector<std::string> faults_, notes_;
    int checks_ = 0, failed_ = 0;
};

}  // namespace gorb::check
