// Runs cases of system calls and prints what each call gave, one JSON line a case.
//
// Usage: system-calls DIRECTORY [keep] < cases
//
// A line "# NAME" begins a case, every other line is one call: its name and arguments, separated by
// single spaces, where %XX stands for a byte. Each case runs in a process and a directory of its
// own, which is the working directory, mode 0777, removed afterwards unless told to keep it. Files
// that a case opens get names (slots). Run as root: `as UID GID [GROUP...]` changes who makes the
// calls that follow.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Arguments = std::vector<std::string>;

// What one process of a case knows: its open files, and times that were noted.
struct State {
  std::map<std::string, int> slots;
  std::map<std::string, struct stat> marks;
};

const std::map<std::string, int> kFlags = {
    {"O_RDONLY", O_RDONLY},
    {"O_WRONLY", O_WRONLY},
    {"O_RDWR", O_RDWR},
    {"O_APPEND", O_APPEND},
    {"O_CREAT", O_CREAT},
    {"O_DIRECT", O_DIRECT},
    {"O_DIRECTORY", O_DIRECTORY},
    {"O_DSYNC", O_DSYNC},
    {"O_EXCL", O_EXCL},
    {"O_NOATIME", O_NOATIME},
    {"O_NOFOLLOW", O_NOFOLLOW},
    {"O_NONBLOCK", O_NONBLOCK},
    {"O_PATH", O_PATH},
    {"O_SYNC", O_SYNC},
    {"O_TMPFILE", O_TMPFILE},
    {"O_TRUNC", O_TRUNC},
    {"FALLOC_FL_KEEP_SIZE", 1},
    {"FALLOC_FL_PUNCH_HOLE", 2},
    {"FALLOC_FL_COLLAPSE_RANGE", 8},
    {"FALLOC_FL_ZERO_RANGE", 16},
    {"FALLOC_FL_INSERT_RANGE", 32},
    {"RENAME_NOREPLACE", 1},
    {"RENAME_EXCHANGE", 2},
    {"RENAME_WHITEOUT", 4},
    {"SEEK_SET", SEEK_SET},
    {"SEEK_CUR", SEEK_CUR},
    {"SEEK_END", SEEK_END},
    {"SEEK_DATA", SEEK_DATA},
    {"SEEK_HOLE", SEEK_HOLE},
    {"LOCK_SH", LOCK_SH},
    {"LOCK_EX", LOCK_EX},
    {"LOCK_UN", LOCK_UN},
    {"LOCK_NB", LOCK_NB},
    {"F_RDLCK", F_RDLCK},
    {"F_WRLCK", F_WRLCK},
    {"F_UNLCK", F_UNLCK},
    {"XATTR_CREATE", XATTR_CREATE},
    {"XATTR_REPLACE", XATTR_REPLACE},
    {"NOW", UTIME_NOW},
    {"OMIT", UTIME_OMIT},
};

// A number in C's notation, or names of flags with | between them.
long Number(const std::string& text) {
  long value = 0;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, '|');) {
    const auto flag = kFlags.find(part);
    value |= flag == kFlags.end() ? std::strtol(part.c_str(), nullptr, 0) : flag->second;
  }
  return value;
}

std::string Decode(const std::string& text) {
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      bytes += text[at];
      continue;
    }
    bytes += static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16));
    at += 2;
  }
  return bytes;
}

// Printable ASCII as it is, all else as %XX; a run of zeros as %00*COUNT.
std::string Encode(const std::string& bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); ++at) {
    const auto byte = static_cast<unsigned char>(bytes[at]);
    const size_t run =
        byte == 0 ? std::min(bytes.find_first_not_of('\0', at), bytes.size()) - at : 1;
    char code[32];
    std::snprintf(code, sizeof code, run > 1 ? "%%%02X*%zu" : "%%%02X", byte, run);
    const bool plain = byte > ' ' && byte < 127 && byte != '%' && byte != '"' && byte != '\\';
    text += plain ? std::string(1, bytes[at]) : std::string(code);
    at += run - 1;
  }
  return text;
}

std::string ErrorName(int error) {
  const char* name = ::strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

// What a call gave: its number, or the name of errno.
std::string Outcome(long result) { return result < 0 ? ErrorName(errno) : std::to_string(result); }

std::string TypeOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "dir";
    case S_IFLNK:
      return "link";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFBLK:
      return "block";
    case S_IFCHR:
      return "char";
    default:
      return "none";
  }
}

std::string TimeText(const timespec& time) {
  char text[64];
  std::snprintf(text, sizeof text, "%lld.%09ld", static_cast<long long>(time.tv_sec), time.tv_nsec);
  return text;
}

// What two file systems should agree on: sizes and links of directories are their own affair, and
// times count when they were set to one of the first years.
std::string Common(const struct stat& facts) {
  char text[128];
  std::snprintf(text, sizeof text, "%s,%04o,%u:%u", TypeOf(facts.st_mode).c_str(),
                facts.st_mode & 07777u, facts.st_uid, facts.st_gid);
  if (S_ISDIR(facts.st_mode)) return text;
  const bool set = facts.st_mtim.tv_sec < 100'000'000;
  return std::string(text) + "," + std::to_string(facts.st_size) + " bytes," +
         std::to_string(facts.st_nlink) + "," + (set ? TimeText(facts.st_mtim) : "now");
}

std::string Field(const struct stat& facts, const std::string& field) {
  char octal[16];
  std::snprintf(octal, sizeof octal, "%04o", facts.st_mode & 07777u);
  if (field == "type") return TypeOf(facts.st_mode);
  if (field == "common") return Common(facts);
  if (field == "mode") return octal;
  if (field == "size") return std::to_string(facts.st_size);
  if (field == "uid") return std::to_string(facts.st_uid);
  if (field == "gid") return std::to_string(facts.st_gid);
  if (field == "nlink") return std::to_string(facts.st_nlink);
  if (field == "atime") return TimeText(facts.st_atim);
  if (field == "mtime") return TimeText(facts.st_mtim);
  if (field == "rdev")
    return std::to_string(major(facts.st_rdev)) + ":" + std::to_string(minor(facts.st_rdev));
  return "?" + field;
}

std::string Facts(long result, const struct stat& facts, const std::string& fields) {
  if (result < 0) return ErrorName(errno);
  std::string text;
  std::stringstream names(fields);
  for (std::string name; std::getline(names, name, ',');) {
    text += (text.empty() ? "" : ",") + Field(facts, name);
  }
  return text;
}

// Waits until the clock that file systems stamp with has moved on.
void AwaitTick() {
  timespec start{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &start);
  const timespec pause{0, 1'000'000};
  for (int ticks = 0; ticks < 2;) {
    ::nanosleep(&pause, nullptr);
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_nsec != start.tv_nsec || now.tv_sec != start.tv_sec) ++ticks;
    start = now;
  }
}

bool Later(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

std::string Mark(State& state, const std::string& path) {
  struct stat facts {};
  const int result = ::lstat(path.c_str(), &facts);
  state.marks[path] = facts;
  if (result == 0) AwaitTick();
  return Outcome(result);
}

// Which times of `path` are later than when `marked` was noted.
std::string Since(State& state, const std::string& path, const std::string& marked) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) < 0) return ErrorName(errno);
  const struct stat& before = state.marks[marked];
  std::string text;
  if (Later(facts.st_mtim, before.st_mtim)) text += "mtime";
  if (Later(facts.st_ctim, before.st_ctim)) text += text.empty() ? "ctime" : ",ctime";
  return text.empty() ? "same" : text;
}

std::string List(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return ErrorName(errno);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    const std::string type = TypeOf(static_cast<mode_t>(entry->d_type) << 12);
    if (name != "." && name != "..") names.push_back(Encode(name) + ":" + type);
  }
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text.empty() ? "empty" : text;
}

// Runs `call` in another process: what it gave.
std::string Elsewhere(const std::function<std::string()>& call) {
  int ends[2];
  if (::pipe(ends) < 0) return ErrorName(errno);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = call();
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  char text[256];
  const ssize_t length = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "nothing";
}

std::string SetLock(int fd, const Arguments& args, size_t at) {
  struct flock lock {};
  lock.l_type = static_cast<short>(Number(args[at]));
  lock.l_whence = SEEK_SET;
  lock.l_start = Number(args[at + 1]);
  lock.l_len = Number(args[at + 2]);
  return Outcome(::fcntl(fd, F_SETLK, &lock));
}

std::string Bind(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const long result = ::bind(fd, reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(sizeof address));
  const std::string text = Outcome(result);
  ::close(fd);
  return text;
}

std::string As(const Arguments& args) {
  if (::seteuid(0) < 0 || ::setegid(0) < 0) return ErrorName(errno);
  std::vector<gid_t> groups;
  for (size_t at = 3; at < args.size(); ++at) {
    groups.push_back(static_cast<gid_t>(Number(args[at])));
  }
  if (::setgroups(groups.size(), groups.data()) < 0) return ErrorName(errno);
  if (::setegid(static_cast<gid_t>(Number(args[2]))) < 0) return ErrorName(errno);
  return Outcome(::seteuid(static_cast<uid_t>(Number(args[1]))));
}

// Text that is written COUNT times over: `x*1000` in place of data.
std::string Data(const std::string& text) {
  const size_t star = text.rfind('*');
  if (star == std::string::npos) return text;
  std::string data;
  const long count = Number(text.substr(star + 1));
  for (long index = 0; index < count; ++index) data += text.substr(0, star);
  return data;
}

std::string ReadAt(int fd, long length, long offset) {
  void* memory = nullptr;
  // Aligned, as O_DIRECT asks for.
  if (::posix_memalign(&memory, 4096, static_cast<size_t>(length) + 4096) != 0) return "ENOMEM";
  const ssize_t count = offset < 0 ? ::read(fd, memory, static_cast<size_t>(length))
                                   : ::pread(fd, memory, static_cast<size_t>(length), offset);
  const std::string text =
      count < 0 ? ErrorName(errno)
                : "=" + Encode(std::string(static_cast<char*>(memory), static_cast<size_t>(count)));
  std::free(memory);
  return text;
}

std::string Mapped(int fd, const Arguments& args) {
  const long offset = Number(args[2]);
  const std::string data = Data(args[3]);
  const size_t length = static_cast<size_t>(offset) + data.size();
  void* memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return ErrorName(errno);
  std::memcpy(static_cast<char*>(memory) + offset, data.data(), data.size());
  const std::string text = Outcome(::msync(memory, length, MS_SYNC));
  ::munmap(memory, length);
  return text;
}

std::string GetAttribute(const Arguments& args, bool follow) {
  char value[65536];
  const ssize_t length = follow
                             ? ::getxattr(args[1].c_str(), args[2].c_str(), value, sizeof value)
                             : ::lgetxattr(args[1].c_str(), args[2].c_str(), value, sizeof value);
  if (length < 0) return ErrorName(errno);
  return "=" + Encode(std::string(value, static_cast<size_t>(length)));
}

// The names that begin with `user.`, sorted: those of other kinds are the system's.
std::string ListAttributes(const std::string& path) {
  char value[65536];
  const ssize_t length = ::listxattr(path.c_str(), value, sizeof value);
  if (length < 0) return ErrorName(errno);
  std::vector<std::string> names;
  for (const char* at = value; at < value + length; at += std::strlen(at) + 1) {
    if (std::strncmp(at, "user.", 5) == 0) names.emplace_back(at);
  }
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text.empty() ? "none" : text;
}

std::string Statistics(const std::string& path, const std::string& field) {
  struct statvfs facts {};
  if (::statvfs(path.c_str(), &facts) < 0) return ErrorName(errno);
  if (field == "namemax") return std::to_string(facts.f_namemax);
  if (field == "sane") return facts.f_bavail <= facts.f_blocks && facts.f_frsize > 0 ? "yes" : "no";
  return "?" + field;
}

using Call = std::function<std::string(State&, const Arguments&)>;

const char* Path(const Arguments& args, size_t at = 1) { return args[at].c_str(); }
mode_t Mode(const Arguments& args, size_t at) { return static_cast<mode_t>(Number(args[at])); }
uid_t Id(const Arguments& args, size_t at) { return static_cast<uid_t>(Number(args[at])); }
int Slot(State& state, const Arguments& args, size_t at = 1) {
  const auto found = state.slots.find(args[at]);
  return found == state.slots.end() ? -1 : found->second;
}

std::map<std::string, Call> NameCalls() {
  return {
      {"mkdir", [](State&, const Arguments& a) { return Outcome(::mkdir(Path(a), Mode(a, 2))); }},
      {"rmdir", [](State&, const Arguments& a) { return Outcome(::rmdir(Path(a))); }},
      {"mkfifo", [](State&, const Arguments& a) { return Outcome(::mkfifo(Path(a), Mode(a, 2))); }},
      {"mknod",
       [](State&, const Arguments& a) {
         const std::map<std::string, mode_t> types = {
             {"f", S_IFREG}, {"p", S_IFIFO}, {"s", S_IFSOCK}, {"b", S_IFBLK}, {"c", S_IFCHR}};
         const dev_t device = makedev(Id(a, 4), Id(a, 5));
         return Outcome(::mknod(Path(a), types.at(a[2]) | Mode(a, 3), device));
       }},
      {"bind", [](State&, const Arguments& a) { return Bind(a[1]); }},
      {"symlink",
       [](State&, const Arguments& a) { return Outcome(::symlink(Path(a), Path(a, 2))); }},
      {"readlink",
       [](State&, const Arguments& a) {
         char target[8192];
         const ssize_t length = ::readlink(Path(a), target, sizeof target);
         return length < 0 ? ErrorName(errno)
                           : "=" + Encode(std::string(target, static_cast<size_t>(length)));
       }},
      {"link", [](State&, const Arguments& a) { return Outcome(::link(Path(a), Path(a, 2))); }},
      {"unlink", [](State&, const Arguments& a) { return Outcome(::unlink(Path(a))); }},
      {"rename", [](State&, const Arguments& a) { return Outcome(::rename(Path(a), Path(a, 2))); }},
      {"renameat2",
       [](State&, const Arguments& a) {
         return Outcome(::syscall(SYS_renameat2, AT_FDCWD, Path(a), AT_FDCWD, Path(a, 2),
                                  static_cast<unsigned>(Number(a[3]))));
       }},
      {"ls", [](State&, const Arguments& a) { return List(a[1]); }},
      {"chdir", [](State&, const Arguments& a) { return Outcome(::chdir(Path(a))); }},
      {"access",
       [](State&, const Arguments& a) {
         return Outcome(::faccessat(AT_FDCWD, Path(a), static_cast<int>(Number(a[2])), AT_EACCESS));
       }},
  };
}

std::map<std::string, Call> AttributeCalls() {
  return {
      {"chmod", [](State&, const Arguments& a) { return Outcome(::chmod(Path(a), Mode(a, 2))); }},
      {"fchmod",
       [](State& s, const Arguments& a) { return Outcome(::fchmod(Slot(s, a), Mode(a, 2))); }},
      {"chown",
       [](State&, const Arguments& a) { return Outcome(::chown(Path(a), Id(a, 2), Id(a, 3))); }},
      {"lchown",
       [](State&, const Arguments& a) { return Outcome(::lchown(Path(a), Id(a, 2), Id(a, 3))); }},
      {"fchown",
       [](State& s, const Arguments& a) {
         return Outcome(::fchown(Slot(s, a), Id(a, 2), Id(a, 3)));
       }},
      {"utimensat",
       [](State&, const Arguments& a) {
         const timespec times[2] = {{Number(a[2]), Number(a[3])}, {Number(a[4]), Number(a[5])}};
         const int flags = a.size() > 6 ? AT_SYMLINK_NOFOLLOW : 0;
         return Outcome(::utimensat(AT_FDCWD, Path(a), times, flags));
       }},
      {"futimens",
       [](State& s, const Arguments& a) {
         const timespec times[2] = {{Number(a[2]), Number(a[3])}, {Number(a[4]), Number(a[5])}};
         return Outcome(::futimens(Slot(s, a), times));
       }},
      {"stat",
       [](State&, const Arguments& a) {
         struct stat facts {};
         const int result = ::stat(Path(a), &facts);
         return Facts(result, facts, a[2]);
       }},
      {"lstat",
       [](State&, const Arguments& a) {
         struct stat facts {};
         const int result = ::lstat(Path(a), &facts);
         return Facts(result, facts, a[2]);
       }},
      {"fstat",
       [](State& s, const Arguments& a) {
         struct stat facts {};
         const int result = ::fstat(Slot(s, a), &facts);
         return Facts(result, facts, a[2]);
       }},
      {"mark", [](State& s, const Arguments& a) { return Mark(s, a[1]); }},
      {"since",
       [](State& s, const Arguments& a) { return Since(s, a[1], a.size() > 2 ? a[2] : a[1]); }},
      {"setxattr",
       [](State&, const Arguments& a) {
         const std::string data = Data(a[3]);
         const int flags = a.size() > 4 ? static_cast<int>(Number(a[4])) : 0;
         return Outcome(::setxattr(Path(a), Path(a, 2), data.data(), data.size(), flags));
       }},
      {"fsetxattr",
       [](State& s, const Arguments& a) {
         return Outcome(::fsetxattr(Slot(s, a), Path(a, 2), a[3].data(), a[3].size(), 0));
       }},
      {"getxattr", [](State&, const Arguments& a) { return GetAttribute(a, true); }},
      {"lgetxattr", [](State&, const Arguments& a) { return GetAttribute(a, false); }},
      {"removexattr",
       [](State&, const Arguments& a) { return Outcome(::removexattr(Path(a), Path(a, 2))); }},
      {"listxattr", [](State&, const Arguments& a) { return ListAttributes(a[1]); }},
      {"statvfs", [](State&, const Arguments& a) { return Statistics(a[1], a[2]); }},
  };
}

std::map<std::string, Call> FileCalls() {
  return {
      {"open",
       [](State& s, const Arguments& a) {
         const mode_t mode = a.size() > 4 ? Mode(a, 4) : 0;
         const int fd = ::open(Path(a, 2), static_cast<int>(Number(a[3])) | O_CLOEXEC, mode);
         if (fd >= 0) s.slots[a[1]] = fd;
         return fd < 0 ? ErrorName(errno) : "open";
       }},
      {"close", [](State& s, const Arguments& a) { return Outcome(::close(Slot(s, a))); }},
      {"dup",
       [](State& s, const Arguments& a) {
         const int fd = ::dup(Slot(s, a));
         if (fd >= 0) s.slots[a[2]] = fd;
         return fd < 0 ? ErrorName(errno) : "open";
       }},
      {"read", [](State& s, const Arguments& a) { return ReadAt(Slot(s, a), Number(a[2]), -1); }},
      {"pread",
       [](State& s, const Arguments& a) { return ReadAt(Slot(s, a), Number(a[3]), Number(a[2])); }},
      {"write",
       [](State& s, const Arguments& a) {
         const std::string data = Data(a[2]);
         return Outcome(::write(Slot(s, a), data.data(), data.size()));
       }},
      {"pwrite",
       [](State& s, const Arguments& a) {
         const std::string data = Data(a[3]);
         return Outcome(::pwrite(Slot(s, a), data.data(), data.size(), Number(a[2])));
       }},
      {"lseek",
       [](State& s, const Arguments& a) {
         return Outcome(::lseek(Slot(s, a), Number(a[2]), static_cast<int>(Number(a[3]))));
       }},
      {"truncate",
       [](State&, const Arguments& a) { return Outcome(::truncate(Path(a), Number(a[2]))); }},
      {"ftruncate",
       [](State& s, const Arguments& a) { return Outcome(::ftruncate(Slot(s, a), Number(a[2]))); }},
      {"fallocate",
       [](State& s, const Arguments& a) {
         const int mode = static_cast<int>(Number(a[2]));
         return Outcome(::fallocate(Slot(s, a), mode, Number(a[3]), Number(a[4])));
       }},
      {"posix_fallocate",
       [](State& s, const Arguments& a) {
         const int error = ::posix_fallocate(Slot(s, a), Number(a[2]), Number(a[3]));
         return error == 0 ? std::string("0") : ErrorName(error);
       }},
      {"copy_file_range",
       [](State& s, const Arguments& a) {
         off_t from = Number(a[2]);
         off_t to = Number(a[4]);
         const auto length = static_cast<size_t>(Number(a[5]));
         return Outcome(::copy_file_range(Slot(s, a), &from, Slot(s, a, 3), &to, length, 0));
       }},
      {"fsync", [](State& s, const Arguments& a) { return Outcome(::fsync(Slot(s, a))); }},
      {"fdatasync", [](State& s, const Arguments& a) { return Outcome(::fdatasync(Slot(s, a))); }},
      {"mapped", [](State& s, const Arguments& a) { return Mapped(Slot(s, a), a); }},
  };
}

std::map<std::string, Call> ProcessCalls() {
  return {
      {"as", [](State&, const Arguments& a) { return As(a); }},
      {"umask",
       [](State&, const Arguments& a) {
         ::umask(Mode(a, 1));
         return std::string("0");
       }},
      {"flock",
       [](State& s, const Arguments& a) {
         return Outcome(::flock(Slot(s, a), static_cast<int>(Number(a[2]))));
       }},
      {"other-flock",
       [](State&, const Arguments& a) {
         return Elsewhere([&a] {
           const int fd = ::open(Path(a), O_RDWR | O_CLOEXEC);
           return fd < 0 ? ErrorName(errno) : Outcome(::flock(fd, static_cast<int>(Number(a[2]))));
         });
       }},
      {"setlk", [](State& s, const Arguments& a) { return SetLock(Slot(s, a), a, 2); }},
      {"other-setlk",
       [](State&, const Arguments& a) {
         return Elsewhere([&a] {
           const int fd = ::open(Path(a), O_RDWR | O_CLOEXEC);
           return fd < 0 ? ErrorName(errno) : SetLock(fd, a, 2);
         });
       }},
  };
}

std::map<std::string, Call> AllCalls() {
  std::map<std::string, Call> all = NameCalls();
  all.merge(AttributeCalls());
  all.merge(FileCalls());
  all.merge(ProcessCalls());
  return all;
}

struct Case {
  std::string name;
  std::vector<std::string> lines;
};

Arguments Split(const std::string& line) {
  Arguments words;
  std::stringstream stream(line);
  for (std::string word; std::getline(stream, word, ' ');) words.push_back(Decode(word));
  return words;
}

// In the case's own process: one result a line.
std::string RunCalls(const Case& each, const std::map<std::string, Call>& calls) {
  State state;
  std::string text = "{\"name\":\"" + Encode(each.name) + "\",\"results\":[";
  ::umask(0);
  for (size_t at = 0; at < each.lines.size(); ++at) {
    const Arguments words = Split(each.lines[at]);
    const auto call = calls.find(words[0]);
    const std::string result = call == calls.end() ? "NOSUCHCALL" : call->second(state, words);
    text += (at == 0 ? "\"" : ",\"") + result + "\"";
  }
  return text + "]}\n";
}

void RemoveTree(int parent, const char* name) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return;
  if (::unlinkat(parent, name, AT_REMOVEDIR) == 0) return;
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* directory = fd < 0 ? nullptr : ::fdopendir(fd);
  if (directory == nullptr) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory)) names.emplace_back(entry->d_name);
  for (const std::string& each : names) {
    if (each != "." && each != "..") RemoveTree(fd, each.c_str());
  }
  ::closedir(directory);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

// The process that makes the calls is gone when this returns, and all its files are closed.
void RunCase(const Case& each, const std::string& directory,
             const std::map<std::string, Call>& calls) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::umask(0);
    const bool ready = ::mkdir(directory.c_str(), 0777) == 0 && ::chdir(directory.c_str()) == 0;
    const std::string text = ready ? RunCalls(each, calls) : "";
    if (!ready) std::perror(directory.c_str());
    const ssize_t written = ::write(1, text.data(), text.size());
    ::_exit(ready && written >= 0 ? 0 : 1);
  }
  ::waitpid(child, nullptr, 0);
}

}  // namespace

int main(int count, char** arguments) {
  const bool keep = count == 3 && std::string(arguments[2]) == "keep";
  if (count != 2 && !keep) {
    std::fprintf(stderr, "usage: %s DIRECTORY [keep] < cases\n", arguments[0]);
    return 2;
  }
  std::vector<Case> cases;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.rfind("# ", 0) == 0) {
      cases.push_back({line.substr(2), {}});
    } else if (!line.empty() && !cases.empty()) {
      cases.back().lines.push_back(line);
    }
  }
  const std::map<std::string, Call> calls = AllCalls();
  for (size_t at = 0; at < cases.size(); ++at) {
    const std::string directory = std::string(arguments[1]) + "/c" + std::to_string(at);
    RunCase(cases[at], directory, calls);
    if (!keep) RemoveTree(AT_FDCWD, directory.c_str());
  }
  return 0;
}
