/// That another service drew an outcome, whose record was imported: this server did not draw it, and has it in no tree and
/// no log.
public final class OutcomeOrigin: Sendable, Equatable {
  /// Its public name there, which is its name here too.
  public let shortID: [UInt8]
  /// The address of its page there; nil if it is not known.
  public let permalink: String?
  public let imported: Milliseconds

  /// The longest permalink that is kept, in bytes.
  static let longestPermalink = 2048

  public init(shortID: [UInt8], permalink: String?, imported: Milliseconds) {
    self.shortID = shortID
    self.permalink = permalink
    self.imported = imported
  }

  /// Whether an outcome may have this name: 4 to 32 letters and digits. This server's own have ten. That one of them
  /// will have the name of an imported outcome has a chance of one in 8 · 10¹⁷; then the name stands for this server's.
  public static func isShortID(_ text: some Collection<UInt8>) -> Bool {
    (4...32).contains(text.count)
      && text.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "a")...UInt8(ascii: "z"):
          true
        default: false
        }
      }
  }

  public static func == (a: OutcomeOrigin, b: OutcomeOrigin) -> Bool {
    a.shortID == b.shortID && a.permalink == b.permalink && a.imported == b.imported
  }
}
