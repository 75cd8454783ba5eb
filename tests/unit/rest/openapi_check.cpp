#include "unit/rest/openapi_check.h"

#include <rapidjson/pointer.h>
#include <rapidjson/schema.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "rest/openapi.h"
#include "unit/rest/json_value.h"

namespace gorb::rest {
namespace {

using rapidjson::Value;

std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return text;
}

// Calls fn for every object of the document, from the inside out.
void each_object(Value& value, const std::function<void(Value&)>& fn) {
    if (value.IsObject()) {
        each_member(value, [&](const char*, Value& member) { each_object(member, fn); });
        fn(value);
    } else if (value.IsArray()) {
        for (auto& element : value.GetArray()) each_object(element, fn);
    }
}

}  // namespace

OpenApi::OpenApi() {
    const std::string_view text = openapi_json();
    document_.Parse(text.data(), text.size());
    GORB_CHECK(!document_.HasParseError());
    // OpenAPI 3.0 says "nullable" where JSON Schema has a list of types.
    each_object(document_, [&](Value& object) {
        if (!object.HasMember("nullable") || !object["nullable"].IsBool()) return;
        Value types(rapidjson::kArrayType);
        types.PushBack(Value(object["type"], document_.GetAllocator()), document_.GetAllocator());
        types.PushBack("null", document_.GetAllocator());
        object["type"] = types;
    });
    each_member(document_["paths"], [&](const char* path, const Value& methods) {
        each_member(methods, [&](const char* method, const Value& document) {
            if (document.IsObject()) add(upper(method), path, methods, document);  // else "parameters"
        });
    });
}

void OpenApi::add(const std::string& method, const char* path, const Value& methods, const Value& document) {
    Operation op;
    op.method = method;
    op.path = path;
    op.id = document["operationId"].GetString();
    op.document = &document;
    each_member(document["responses"], [&](const char* status, const Value&) { op.statuses.insert(status); });
    for (const Value* holder : {&methods, &document}) {
        if (!holder->HasMember("parameters")) continue;
        for (const auto& parameter : (*holder)["parameters"].GetArray()) {
            const std::string in = parameter["in"].GetString();
            if (in == "query") op.query.insert(parameter["name"].GetString());
            if (in == "path") op.path_names.insert(parameter["name"].GetString());
            if (in == "header") op.headers.insert(parameter["name"].GetString());
        }
    }
    GORB_CHECK(operations_.emplace(op.id, op).second);
}

OpenApi::~OpenApi() = default;

const Value& OpenApi::resolved(const Value& value) const {
    if (!value.HasMember("$ref")) return value;
    const Value* target = rapidjson::Pointer(value["$ref"].GetString()).Get(document_);
    GORB_CHECK(target);
    return *target;
}

std::vector<std::string> OpenApi::dangling() const {
    std::vector<std::string> out;
    rapidjson::Document copy;
    copy.CopyFrom(document_, copy.GetAllocator());
    each_object(copy, [&](Value& object) {
        if (!object.HasMember("$ref")) return;
        if (!rapidjson::Pointer(object["$ref"].GetString()).Get(document_))
            out.emplace_back(object["$ref"].GetString());
    });
    return out;
}

void OpenApi::gather(const Value& schema, std::vector<const Value*>& said) const {
    if (schema.HasMember("$ref")) return gather(resolved(schema), said);
    said.push_back(&schema);
    for (const char* several : {"oneOf", "allOf", "anyOf"}) {
        if (!schema.HasMember(several)) continue;
        for (const auto& one : schema[several].GetArray()) gather(one, said);
    }
}

std::vector<const Value*> OpenApi::said_of(const std::string& schema,
                                           const std::vector<std::string>& member) const {
    std::vector<const Value*> said{&document_["components"]["schemas"][schema.c_str()]};
    for (const std::string& name : member) {
        const Value* inner = nullptr;
        for (const Value* one : said) {
            if (!one->HasMember("properties") || !(*one)["properties"].HasMember(name.c_str())) continue;
            inner = &(*one)["properties"][name.c_str()];
        }
        said.clear();
        if (inner) gather(*inner, said);
    }
    return said;
}

std::vector<std::string> OpenApi::members(const std::string& schema) const {
    std::vector<std::string> out;
    each_member(document_["components"]["schemas"][schema.c_str()]["properties"],
                [&](const char* name, const Value&) { out.emplace_back(name); });
    return out;
}

std::vector<std::string> OpenApi::nullable(const std::string& schema) const {
    std::vector<std::string> out;
    for (const std::string& name : members(schema)) {
        const auto said = said_of(schema, {name});
        if (std::ranges::any_of(said, [](const Value* one) {
                return one->HasMember("nullable") && (*one)["nullable"].IsTrue();
            }))
            out.push_back(name);
    }
    return out;
}

void OpenApi::find(const Value& schema, const std::string& keyword, const std::string& place,
                   std::vector<std::string>& found) const {
    if (schema.HasMember("$ref")) return find(resolved(schema), keyword, place, found);
    if (schema.HasMember(keyword.c_str())) found.push_back(place);
    for (const char* several : {"oneOf", "allOf", "anyOf"}) {
        if (!schema.HasMember(several)) continue;
        for (const auto& one : schema[several].GetArray()) find(one, keyword, place, found);
    }
    if (schema.HasMember("items")) find(schema["items"], keyword, place + "/items", found);
    if (!schema.HasMember("properties")) return;
    each_member(schema["properties"], [&](const char* name, const Value& value) {
        find(value, keyword, place + "/properties/" + name, found);
    });
}

std::vector<std::string> OpenApi::places_in_body(const std::string& operation,
                                                 const std::string& keyword) const {
    std::vector<std::string> found;
    const Value& document = *operations_.at(operation).document;
    find(document["requestBody"]["content"]["application/json"]["schema"], keyword, "", found);
    return found;
}

const rapidjson::SchemaDocument& OpenApi::compiled(const Value& schema) const {
    const std::lock_guard held(compiling_);
    auto& kept = compiled_[&schema];
    if (kept) return *kept;
    // The components beside the schema, where its references look for them.
    rapidjson::Document root(rapidjson::kObjectType);
    auto& allocator = root.GetAllocator();
    root.AddMember("components", Value(document_["components"], allocator), allocator);
    root.AddMember("allOf", Value(rapidjson::kArrayType).PushBack(Value(schema, allocator), allocator),
                   allocator);
    kept = std::make_unique<rapidjson::SchemaDocument>(root);
    return *kept;
}

std::string OpenApi::mismatch(const Value& schema, const std::string& body) const {
    rapidjson::Document json;
    if (json.Parse(body.data(), body.size()).HasParseError()) return "is no JSON: " + body;
    rapidjson::SchemaValidator validator(compiled(schema));
    if (json.Accept(validator)) return "";
    rapidjson::StringBuffer where;
    validator.GetInvalidDocumentPointer().StringifyUriFragment(where);
    return std::string("breaks \"") + validator.GetInvalidSchemaKeyword() + "\" at " + where.GetString() +
           ": " + body;
}

std::string OpenApi::wrong_with(const std::string& operation, const Response& response) const {
    const auto op = operations_.find(operation);
    if (op == operations_.end()) return "there is no operation " + operation;
    const std::string status = std::to_string(response.status);
    if (!op->second.statuses.contains(status))
        return operation + " does not declare status " + status + ": " + response.body;
    const Value& declared = resolved((*op->second.document)["responses"][status.c_str()]);
    const std::string type = response.content_type.substr(0, response.content_type.find(';'));
    if (!declared["content"].HasMember(type.c_str()))
        return operation + " does not declare content type " + type;
    if (type != "application/json") return "";
    const std::string wrong = mismatch(declared["content"][type.c_str()]["schema"], response.body);
    return wrong.empty() ? "" : operation + " " + status + ": the body " + wrong;
}

std::string OpenApi::wrong_with_body(const std::string& operation, const std::string& body) const {
    const auto& op = operations_.at(operation);
    if (!op.document->HasMember("requestBody")) return operation + " declares no body";
    return mismatch((*op.document)["requestBody"]["content"]["application/json"]["schema"], body);
}

}  // namespace gorb::rest
