import CPQ
import Foundation

/// Where PostgreSQL is and who asks: a connection URL as libpq has them, with several hosts if need be.
///
/// https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING. What the URL leaves out comes from libpq's
/// environment variables and password file.
public struct ConnectionTarget: Sendable {
  private let url: String
  /// The URL's parts that are neither secret nor in the way: `postgres://user@host:5432/name`.
  public let place: String
  private let password: String?

  /// What a URL may override. Several hosts are tried in turn until one is found that takes writes, so that a fail-over
  /// is a reconnect; a host that is gone, or a network that swallows everything, is noticed in seconds.
  private static let defaults = [
    ("target_session_attrs", "read-write"), ("connect_timeout", "5"), ("keepalives_idle", "10"),
    ("keepalives_interval", "5"), ("keepalives_count", "3"), ("tcp_user_timeout", "15000"),
    ("fallback_application_name", "fairdraw"),
  ]

  /// Whether this is a URL of a PostgreSQL database.
  public static func isTarget(_ url: String) -> Bool {
    url.hasPrefix("postgres://") || url.hasPrefix("postgresql://")
  }

  /// Which of the bytes of a command line's argument, `--database=postgres://…` say, are a password; nil for none.
  public static func secret(in argument: String) -> [Int]? {
    let bytes = Array(argument.utf8)
    guard argument.contains("postgres://") || argument.contains("postgresql://"),
      let scheme = argument.range(of: "://").map({
        argument.utf8.distance(from: argument.startIndex, to: $0.upperBound)
      })
    else { return nil }
    // Whatever lies between the first colon and the last at sign: a password may have any character in it, also where that
    // makes the URL a wrong one.
    var secret: [Int] = []
    if let colon = bytes[scheme...].firstIndex(of: UInt8(ascii: ":")), let at = bytes.lastIndex(of: UInt8(ascii: "@")),
      colon < at
    {
      secret += (colon + 1)..<at
    } else if let colon = bytes[scheme...].firstIndex(of: UInt8(ascii: ":")) {
      // No port: a password whose user forgot the host.
      let rest = bytes[(colon + 1)...].prefix { $0 != UInt8(ascii: "?") }
      let port = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ",") }
      if !port.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        bytes[scheme...].first != UInt8(ascii: "[")
      {
        secret += rest.indices
      }
    }
    // In the query, `password=` and `sslpassword=`.
    var rest = argument.startIndex
    while let found = argument.range(of: "password=", range: rest..<argument.endIndex) {
      let start = argument.utf8.distance(from: argument.startIndex, to: found.upperBound)
      secret += bytes[start...].prefix { $0 != UInt8(ascii: "&") }.indices
      rest = found.upperBound
    }
    return secret.isEmpty ? nil : secret
  }

  /// The argument with `x`s for its password.
  public static func hidingSecret(in argument: String) -> String {
    guard let secret = secret(in: argument) else { return argument }
    var bytes = Array(argument.utf8)
    for index in secret { bytes[index] = UInt8(ascii: "x") }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Whether libpq takes the URL apart where its writer would. It ends a password at the first `@` and sees none after a
  /// `/`; then the rest of the password would be taken for a host, a port or a database, and be shown as that.
  private static func isUnambiguous(_ url: String) -> Bool {
    guard let scheme = url.range(of: "://") else { return false }
    let (head, query) = url[scheme.upperBound...].splitOnce(at: "?")
    let (authority, path) = head.splitOnce(at: "/")
    guard path?.contains("@") != true, authority.count(where: { $0 == "@" }) <= 1 else { return false }
    // In a query one is understood if something before it has ended the search for a user.
    return query?.contains("@") != true || path != nil || authority.contains("@")
  }

  /// - Throws: ``InvalidConnectionURL``.
  public init(url: String) throws(InvalidConnectionURL) {
    guard Self.isTarget(url), !url.utf8.contains(0) else { throw InvalidConnectionURL() }
    guard Self.isUnambiguous(url) else { throw InvalidConnectionURL(hasReservedCharacters: true) }
    // libpq's words on what is wrong quote the URL, password and all, so they are not passed on.
    var message: UnsafeMutablePointer<CChar>?
    let options = PQconninfoParse(url, &message)
    PQfreemem(message)
    guard let options else { throw InvalidConnectionURL() }
    defer { PQconninfoFree(options) }
    var given: [String: String] = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val { given[String(cString: keyword)] = String(cString: value) }
      option += 1
    }
    self.url = url
    password = given["password"].flatMap { $0.isEmpty ? nil : $0 }
    let hosts = (given["host"] ?? given["hostaddr"] ?? "").split(separator: ",", omittingEmptySubsequences: false)
    let ports = (given["port"] ?? "").split(separator: ",", omittingEmptySubsequences: false)
    // What is no number here may be a part of a password.
    guard ports.allSatisfy({ $0.isEmpty || UInt16($0) != nil }) else { throw InvalidConnectionURL() }
    let addresses = hosts.enumerated().map { index, host in
      let port = ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : ""
      return port.isEmpty ? String(host) : "\(host):\(port)"
    }
    place =
      "postgres://" + (given["user"].map { $0 + "@" } ?? "") + addresses.joined(separator: ",")
      + (given["dbname"].map { "/" + $0 } ?? "")
  }

  /// A libpq connection, established or not.
  func connect() -> OpaquePointer? {
    // Later ones win, and the URL is expanded where it stands.
    let options = Self.defaults + [("dbname", url), ("client_encoding", "UTF8")]
    let keywords = options.map { strdup($0.0) } + [nil]
    let values = options.map { strdup($0.1) } + [nil]
    defer { for text in keywords + values { free(text) } }
    return PQconnectdbParams(keywords.map { UnsafePointer($0) }, values.map { UnsafePointer($0) }, 1)
  }

  /// A message of libpq's on one line, and without the password should it ever be in there.
  func redacting(_ message: String) -> String {
    let lines = message.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
    var text = lines.joined(separator: "; ")
    if let password { text = text.replacing(password, with: "***") }
    return text
  }
}

public struct InvalidConnectionURL: Error, Sendable, CustomStringConvertible {
  var hasReservedCharacters = false

  public var description: String {
    hasReservedCharacters
      ? "in the database's URL, a password's @ must be written %40, its / %2F and its ? %3F"
      : "the database's URL is not one of PostgreSQL's, such as postgres://user@host:5432/name?sslmode=verify-full"
  }
}

extension Substring {
  /// What is before and after the first `separator`; nothing after it if there is none.
  fileprivate func splitOnce(at separator: Character) -> (Substring, Substring?) {
    guard let place = firstIndex(of: separator) else { return (self, nil) }
    return (self[..<place], self[index(after: place)...])
  }
}
