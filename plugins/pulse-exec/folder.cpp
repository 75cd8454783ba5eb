#include "folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <gorb/plugin.hpp>

#include "errno_text.h"

namespace pulse_exec {

namespace {

using gorb::sdk::Error;

std::string mode_text(mode_t mode) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777));
    return text.data();
}

// `what` begins the sentence.
void check_owner(const std::string& what, const struct stat& status) {
    if (status.st_uid != 0 && status.st_uid != geteuid())
        throw Error(what + " belongs to the user " + std::to_string(status.st_uid) +
                    "; it must belong to root or to the user gorbd runs as (" + std::to_string(geteuid()) +
                    ")");
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        throw Error(what + " is writable by its group or by others (mode " + mode_text(status.st_mode) +
                    "); chmod go-w makes it right");
}

}  // namespace

void check_name(std::string_view program) {
    const bool plain = !program.empty() && program.size() <= 255 && program != "." && program != ".." &&
                       program.find('/') == std::string_view::npos &&
                       program.find('\0') == std::string_view::npos;
    if (!plain)
        throw Error(
            "\"program\" must be the plain name of a file in the folder of programs, without a \"/\"");
}

Folder::Folder(std::string path) : path_(std::move(path)) {
    if (path_.empty() || path_[0] != '/' || path_.find('\0') != std::string::npos)
        throw Error("option \"directory\": \"" + path_ + "\" is no absolute path");
}

Descriptor Folder::open(const std::string& program) const {
    check_name(program);
    const std::string folder = "the folder of programs, " + path_ + ",";
    Descriptor fd(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd && errno == ENOENT)
        throw Error(
            folder + " does not exist; make it, or name another one as \"directory\" in [plugin.exec]",
            ENOENT);
    if (!fd && errno == ENOTDIR) throw Error(folder + " is no folder", ENOTDIR);
    struct stat status {};
    if (!fd || fstat(fd.get(), &status) != 0)
        throw Error(folder + " can not be opened: " + errno_text(errno), errno);
    check_owner(folder, status);

    const std::string file = "\"" + program + "\" in " + path_;
    if (fstatat(fd.get(), program.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) throw Error("there is no program \"" + program + "\" in " + path_, ENOENT);
        throw Error(file + " can not be looked at: " + errno_text(errno), errno);
    }
    if (S_ISLNK(status.st_mode))
        throw Error(file + " is a symbolic link; put a copy of the program there instead");
    if (!S_ISREG(status.st_mode)) throw Error(file + " is no regular file");
    check_owner(file, status);
    if (status.st_mode & (S_ISUID | S_ISGID))
        throw Error(file + " has the setuid or setgid bit (mode " + mode_text(status.st_mode) +
                    "), which has no effect here; chmod ug-s makes it right");
    if (!(status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
        throw Error(file + " is not executable; chmod +x makes it so");
    return fd;
}

}  // namespace pulse_exec
