/// Text for HTML. Everything here works on bytes or scalars, never on `Character`s: a quotation mark with a combining accent
/// after it is one `Character` and equal to no quotation mark, but to a browser it still ends an attribute.
package enum HTML {
  /// `text` for element content or a quoted attribute: it stands for itself, whatever it holds.
  package static func escape(_ text: some StringProtocol) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count + 16)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "&"): out.append(contentsOf: "&amp;".utf8)
      case UInt8(ascii: "<"): out.append(contentsOf: "&lt;".utf8)
      case UInt8(ascii: ">"): out.append(contentsOf: "&gt;".utf8)
      case UInt8(ascii: "\""): out.append(contentsOf: "&quot;".utf8)
      case UInt8(ascii: "'"): out.append(contentsOf: "&#39;".utf8)
      case 0x0D: out.append(contentsOf: "&#13;".utf8)  // a plain one would be read as a line feed
      case 0: out.append(contentsOf: "\u{FFFD}".utf8)  // HTML cannot hold it
      default: out.append(byte)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// The text of HTML that this program made: without tags, and with what ``escape(_:)`` wrote as it was.
  static func text(in html: some Collection<UInt8>) -> String {
    var out = ""
    for part in html.split(separator: UInt8(ascii: "<"), omittingEmptySubsequences: false) {
      // What stands before the first tag has none.
      let pieces = part.split(separator: UInt8(ascii: ">"), maxSplits: 1, omittingEmptySubsequences: false)
      let tag = String(decoding: pieces[0].drop { $0 == UInt8(ascii: "/") }, as: UTF8.self)
      if pieces.count > 1, !["a", "code", "strong", "em"].contains(tag.prefix { $0.isLetter }) { out += " " }
      out += String(decoding: pieces[pieces.count - 1], as: UTF8.self)
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    let text = entities.reduce(out) { $0.replacing($1.0, with: $1.1) }
    return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  /// JSON as a person should see it: ``shown(_:)`` of what is ``readable(json:)``.
  package static func shown(json: [UInt8]) -> String { shown(readable(json: json)) }

  /// JSON with characters in place of their `\u` escapes: from U+00A0 on, and not halves of pairs.
  package static func readable(json: [UInt8]) -> String {
    let backslash = UInt8(ascii: "\\")
    func unit(_ escape: ArraySlice<UInt8>) -> UInt16? {
      guard escape.count >= 6, escape.starts(with: [backslash, UInt8(ascii: "u")]) else { return nil }
      return UInt16(String(decoding: escape.dropFirst(2).prefix(4), as: UTF8.self), radix: 16)
    }
    var out: [UInt8] = []
    var rest = json[...]
    while let byte = rest.first {
      var units = [UInt16]()
      if byte == backslash, let first = unit(rest), first >= 0xA0 {
        units = [first] + (UTF16.isLeadSurrogate(first) ? unit(rest.dropFirst(6)).map { [$0] } ?? [] : [])
      }
      if !units.isEmpty, let text = String(validating: units, as: UTF16.self) {
        out.append(contentsOf: text.utf8)
        rest = rest.dropFirst(6 * units.count)
      } else {
        let length = byte == backslash ? 2 : 1
        out.append(contentsOf: rest.prefix(length))
        rest = rest.dropFirst(length)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Anyone's text as a person should see it: kept apart from the direction of the text around it, and with characters that
  /// cannot be seen, or would reorder what can, named by their numbers.
  package static func shown(_ text: some StringProtocol) -> String {
    var out = "<bdi class=\"text\">"
    var plain = ""
    for scalar in text.unicodeScalars {
      guard isInvisible(scalar) else {
        plain.unicodeScalars.append(scalar)
        continue
      }
      out += escape(plain)
      plain = ""
      out += "<span class=\"ctl\">\(name(of: scalar))</span>"
    }
    return out + escape(plain) + "</bdi>"
  }

  /// Controls, line and paragraph separators, and formats but for the two joiners, which scripts and emoji need.
  static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: scalar.value != 0x200C && scalar.value != 0x200D
    default: false
    }
  }

  /// `U+202E`
  static func name(of scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  /// A button that copies `text`, whole and as it is.
  package static func copyButton(_ text: String, label: String) -> String {
    "<button type=\"button\" class=\"copy\" data-copy=\"\(escape(text))\" aria-label=\"Copy the \(escape(label))\">Copy</button>"
  }
}

extension String {
  /// The first `count` characters, with an ellipsis for the rest.
  func shortened(to count: Int) -> String {
    self.count > count ? prefix(count) + "…" : self
  }
}
