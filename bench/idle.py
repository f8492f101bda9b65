"""Idle cost of the supervisor and the dashboard, and key to screen while jobs flow. Prints one line a figure.

idle.py BIN FILES SECONDS           in an empty working folder
idle.py --terminal PROGRAM SECONDS  the same terminal figures for another program
"""
import fcntl, os, pty, select, statistics, struct, subprocess, sys, termios, time

HZ = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Terminal:
    def __init__(self, argv, columns=120, rows=36):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds, until=None):
        """Bytes that arrive within the time, or up to and with `until`."""
        got, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    got += os.read(self.fd, 65536)
                except OSError:  # the program has left its terminal
                    break
                if until and until in got:
                    break
        return got

    def close(self, key):
        os.write(self.fd, key)
        self.read(1)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def idle_terminal(name, terminal, seconds):
    terminal.read(6)
    before, size = cpu(terminal.pid), len(terminal.read(seconds))
    used = cpu(terminal.pid) - before
    print(f"idle {name}: {size / seconds:.0f} bytes/s, {100 * used / seconds:.2f} % of a core, {rss(terminal.pid):.1f} MB")


def main(binary, files, seconds):
    tasks = "".join(
        f'[tasks.t{n}]\nwatch = {{ dir = "in{n}", match = ["*.txt"] }}\nextract = {{ output = "out/{{task}}/{{name}}.json" }}\n'
        for n in range(10)
    )
    with open("config.toml", "w") as f:
        f.write(tasks)
    os.chmod("config.toml", 0o644)
    for n in range(10):
        os.mkdir(f"in{n}")
        for i in range(files // 10):
            open(f"in{n}/{i}.bin", "w").close()
    supervisor = subprocess.Popen([binary, "run"], stderr=subprocess.DEVNULL)
    try:
        while subprocess.run([binary, "status", "--json"], capture_output=True).stdout.find(b'"running"') < 0:
            time.sleep(0.05)
        time.sleep(2)
        before = cpu(supervisor.pid)
        time.sleep(seconds)
        used = cpu(supervisor.pid) - before
        print(f"idle supervisor, 10 tasks, {files} ignored files: {100 * used / seconds:.2f} % of a core, {rss(supervisor.pid):.1f} MB")
        terminal = Terminal([binary, "attach"])
        first = len(terminal.read(1.5))
        print(f"dashboard: {first} bytes in the first 1.5 s")
        idle_terminal("dashboard", terminal, seconds)
        os.mkdir("spare")
        for i in range(20000):
            with open(f"spare/{i}.txt", "w") as f:
                f.write("hello world\n" * 5)
        feeder = subprocess.Popen(["sh", "-c", "find spare -type f -print0 | xargs -0 -n 500 mv -t in0"])
        terminal.read(0.5)
        times = []
        for _ in range(21):
            began = time.monotonic()
            os.write(terminal.fd, b"?")
            if b"search" not in terminal.read(2, b"search"):
                sys.exit("the help did not appear")
            times.append((time.monotonic() - began) * 1000)
            os.write(terminal.fd, b"\x1b")
            terminal.read(0.15)
        feeder.wait()
        print(f"key to screen while jobs flow: median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms")
        terminal.close(b"q")
    finally:
        supervisor.terminate()
        supervisor.wait()


if sys.argv[1] == "--terminal":
    other = Terminal([sys.argv[2]])
    idle_terminal(sys.argv[2], other, float(sys.argv[3]))
    other.close(b"q")
else:
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
