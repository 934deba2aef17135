// Does to files what its arguments say, one word a step, and prints a line for each: `ok`, or the errno.
// NAME is relative to the present folder.
//   w:NAME:OFFSET:TEXT  pwrite()      a:NAME:TEXT  append, by write()   v:NAME:TEXT  replace, by a stream
//   s:NAME  fsync(), file or folder   d:NAME  fdatasync()              t:NAME:SIZE  ftruncate()
//   r:FROM:TO  rename()               u:NAME  remove()                 m:NAME  mkdir()   l:FROM:TO  link()
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

std::vector<std::string> parts_of(const std::string& step) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = step.find(':', begin);
    parts.push_back(step.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

/// Bytes are given as text, or as COUNT*LETTER.
std::string bytes_of(const std::string& text) {
  const std::size_t times = text.find('*');
  if (times == std::string::npos || times + 2 != text.size()) return text;
  return std::string(std::stoul(text.substr(0, times)), text.back());
}

bool with_file(const std::string& name, int flags, const auto& use) {
  const int fd = ::open(name.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool worked = use(fd);
  const int why = errno;
  const bool closed = ::close(fd) == 0;
  if (!worked) errno = why;
  return worked && closed;
}

bool write_all(int fd, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (wrote < 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

bool step(const std::vector<std::string>& part) {
  const std::string& name = part.at(1);
  switch (part[0][0]) {
    case 'w':
      return with_file(name, O_WRONLY | O_CREAT, [&](int fd) {
        const std::string bytes = bytes_of(part.at(3));
        return ::pwrite(fd, bytes.data(), bytes.size(), std::stol(part.at(2))) == static_cast<ssize_t>(bytes.size());
      });
    case 'a':
      return with_file(name, O_WRONLY | O_CREAT | O_APPEND,
                       [&](int fd) { return write_all(fd, bytes_of(part.at(2))); });
    case 'v': {
      std::ofstream out(name);
      out << bytes_of(part.at(2));
      out.close();
      return !out.fail();
    }
    case 's': return with_file(name, O_RDONLY, [](int fd) { return ::fsync(fd) == 0; });
    case 'd': return with_file(name, O_WRONLY, [](int fd) { return ::fdatasync(fd) == 0; });
    case 't': return with_file(name, O_WRONLY, [&](int fd) { return ::ftruncate(fd, std::stol(part.at(2))) == 0; });
    case 'r': return std::rename(name.c_str(), part.at(2).c_str()) == 0;
    case 'l': return ::link(name.c_str(), part.at(2).c_str()) == 0;
    case 'm': return ::mkdir(name.c_str(), 0700) == 0;
    case 'u': {
      std::error_code error;
      std::filesystem::remove(name, error);
      errno = error.value();
      return !error;
    }
    default: std::abort();
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    errno = 0;
    if (step(parts_of(argv[i]))) {
      std::puts("ok");
    } else {
      std::printf("%d\n", errno);
    }
    std::fflush(stdout);
  }
  return 0;
}
