// Which HTTP status codes mean that all is well: "200", "200-399", "200,204,300-302".
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pulse_http {

class Expectation {
  public:
    // Codes and ranges, 100 to 599, separated by commas; blanks are ignored. Throws gorb::sdk::Error with
    // what is wrong.
    static Expectation parse(std::string_view text);

    bool accepts(int status) const;
    // As it is shown in reasons: "200-399", "200, 204".
    std::string text() const;

  private:
    struct Range {
        int low, high;
    };
    std::vector<Range> ranges_;
};

}  // namespace pulse_http
