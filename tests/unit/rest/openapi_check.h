// The contract in openapi.json, as a judge of requests and answers.
#pragma once
#include <rapidjson/document.h>
#include <rapidjson/schema.h>

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "rest/http.h"

namespace gorb::rest {

// From any thread.
class OpenApi {
  public:
    OpenApi();
    ~OpenApi();

    struct Operation {
        std::string method, path, id;        // "GET", "/service/{service}", "getService"
        std::set<std::string> statuses;      // "200", "404"
        std::set<std::string> query;         // names of query parameters
        std::set<std::string> path_names;    // names of path parameters
        std::set<std::string> headers;       // names of header parameters
        const rapidjson::Value* document{};  // its object
    };
    const std::map<std::string, Operation>& operations() const { return operations_; }  // by id

    // "" when `response` is what the contract declares for the operation: status, content type, and a body
    // with exactly the fields of its schema; else what is wrong with it.
    std::string wrong_with(const std::string& operation, const Response& response) const;
    // "" when the contract declares such a request body.
    std::string wrong_with_body(const std::string& operation, const std::string& body) const;

    // What is said of a member of a schema, {"PulseDocument", {"backoff", "max"}}: where it stands, where its
    // references lead, and in each alternative.
    std::vector<const rapidjson::Value*> said_of(const std::string& schema,
                                                 const std::vector<std::string>& member) const;
    // The names of the members of a schema.
    std::vector<std::string> members(const std::string& schema) const;
    // The members of a schema of this name that may be null.
    std::vector<std::string> nullable(const std::string& schema) const;

    // Where in the schema of the operation's body, references followed, this keyword of JSON Schema stands:
    // "/properties/weight".
    std::vector<std::string> places_in_body(const std::string& operation, const std::string& keyword) const;

    // Every "$ref" of the document that leads nowhere.
    std::vector<std::string> dangling() const;

  private:
    void add(const std::string& method, const char* path, const rapidjson::Value& methods,
             const rapidjson::Value& document);
    const rapidjson::Value& resolved(const rapidjson::Value& value) const;
    const rapidjson::SchemaDocument& compiled(const rapidjson::Value& schema) const;
    void gather(const rapidjson::Value& schema, std::vector<const rapidjson::Value*>& said) const;
    void find(const rapidjson::Value& schema, const std::string& keyword, const std::string& place,
              std::vector<std::string>& found) const;
    std::string mismatch(const rapidjson::Value& schema, const std::string& body) const;

    rapidjson::Document document_;
    std::map<std::string, Operation> operations_;
    // By the schema's place in the document: making one anew for each answer was most of these tests' time.
    mutable std::mutex compiling_;
    mutable std::map<const rapidjson::Value*, std::unique_ptr<rapidjson::SchemaDocument>> compiled_;
};

}  // namespace gorb::rest
