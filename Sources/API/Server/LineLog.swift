import Foundation
import JSON
import Logging
import Synchronization

/// Structured log lines, one JSON object each, written in the background so that no request waits for a log.
///
/// Lines wait in a bounded buffer for a few milliseconds at the most. If whoever reads them falls so far behind that the
/// buffer fills, lines are dropped, and the next one that fits says how many.
public final class LineLog: Sendable {
  private struct State {
    var buffer: [UInt8] = []
    var dropped = 0
    var isClosed = false
  }

  private let descriptor: Int32
  private let capacity: Int
  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let done = DispatchSemaphore(value: 0)
  /// The current second and its text.
  private let second = Mutex((number: time_t(0), text: [UInt8]()))

  /// - Parameters:
  ///   - descriptor: where lines go; standard error unless told otherwise.
  ///   - capacity: the most bytes that wait to be written.
  public init(descriptor: Int32 = 2, capacity: Int = 1 << 20) {
    self.descriptor = descriptor
    self.capacity = capacity
    let thread = Thread { [self] in writeUntilClosed() }
    thread.name = "log"
    thread.start()
  }

  /// Appends one line. `fields` appends JSON members, each with a comma before it.
  public func line(_ level: Logger.Level, _ message: String, _ fields: (inout [UInt8]) -> Void = { _ in }) {
    var line: [UInt8] = []
    line.reserveCapacity(320)
    line.append(json: "{\"time\":\"")
    appendTimestamp(to: &line)
    line.append(json: "\",\"level\":\"")
    line.append(text: level.rawValue)
    line.append(json: "\",\"message\":")
    line.append(jsonString: message)
    fields(&line)
    line.append(json: "}\n")
    let isFirst = state.withLock { state in
      guard state.buffer.count + line.count <= capacity else {
        state.dropped += 1
        return false
      }
      let isFirst = state.buffer.isEmpty
      state.buffer.append(contentsOf: line)
      return isFirst
    }
    if isFirst { wake.signal() }
  }

  /// Writes what waits, and returns when it is written. Lines that come later are dropped.
  public func close() {
    state.withLock { $0.isClosed = true }
    wake.signal()
    done.wait()
  }

  private func writeUntilClosed() {
    while true {
      wake.wait()
      // Let a few lines gather: one write for many requests.
      Thread.sleep(forTimeInterval: 0.005)
      let (bytes, dropped, isClosed) = state.withLock { state in
        defer {
          state.buffer = []
          state.dropped = 0
        }
        return (state.buffer, state.dropped, state.isClosed)
      }
      write(bytes)
      if dropped > 0 { line(.warning, "log lines were dropped") { $0.append(field: "dropped", integer: dropped) } }
      if isClosed {
        done.signal()
        return
      }
    }
  }

  /// A log that cannot be written (a full disk, a closed pipe) is no reason to stop drawing.
  private func write(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let written = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written < 0 && errno == EINTR { continue }
        guard written > 0 else { return }
        rest = rest.dropFirst(written)
      }
    }
  }

  /// Appends the time, `2026-11-21T20:06:00.123Z`. All but its last digits is the same for a second's worth of lines.
  private func appendTimestamp(to line: inout [UInt8]) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let prefix = second.withLock { second in
      if second.number != now.tv_sec { second = (now.tv_sec, Self.text(of: now.tv_sec)) }
      return second.text
    }
    line.append(contentsOf: prefix)
    let milliseconds = now.tv_nsec / 1_000_000
    for digit in [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10] {
      line.append(UInt8(ascii: "0") + UInt8(digit))
    }
    line.append(UInt8(ascii: "Z"))
  }

  private static func text(of second: time_t) -> [UInt8] {
    var second = second
    var parts = tm()
    gmtime_r(&second, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S.", &parts)
    return text[..<length].map(UInt8.init(bitPattern:))
  }
}

extension [UInt8] {
  mutating func append(field name: StaticString, integer: some FixedWidthInteger) {
    append(json: ",\"")
    append(json: name)
    append(json: "\":")
    append(integer: integer)
  }

  mutating func append(field name: StaticString, string: String) {
    append(json: ",\"")
    append(json: name)
    append(json: "\":")
    append(jsonString: string)
  }
}

/// Sends what libraries log to the same lines.
public struct LineLogHandler: LogHandler {
  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level
  private let log: LineLog
  private let label: String

  public init(label: String, level: Logger.Level, log: LineLog) {
    self.label = label
    logLevel = level
    self.log = log
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var all = metadata.merging(event.metadata ?? [:]) { $1 }
    if let error = event.error { all["error"] = "\(error)" }
    log.line(event.level, event.message.description) { bytes in
      bytes.append(field: "logger", string: label)
      for (key, value) in all.sorted(by: { $0.key < $1.key }) {
        bytes.append(json: ",")
        bytes.append(jsonString: key)
        bytes.append(json: ":")
        bytes.append(jsonString: "\(value)")
      }
    }
  }
}
