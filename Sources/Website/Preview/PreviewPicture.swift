import CRSVG
import Fairness
import JSON
import Ledger

/// The picture that a link to an outcome is shown with: 1200 × 630, as SVG and as PNG.
package enum PreviewPicture {
  /// The picture's SVG. Every text in it is short and fit for XML, whatever the outcome holds.
  ///
  /// - Parameter outcome: nil for a picture that says that there is none.
  package static func svg(_ outcome: Outcome?, templates: Templates) -> String {
    guard let outcome else {
      let line: [String: Any] = ["text": "There is no such draw.", "size": 76, "y": 310]
      return templates.render("preview", ["lines": [line]])
    }
    let drawing = OutcomeDrawing(outcome)
    let dice = dice(of: outcome)
    let text = fit(drawing.summary)
    var lines: [[String: Any]] = []
    if dice.isEmpty {
      let size = text.count <= 12 ? 120 : text.count <= 24 ? 76 : 46
      let wrapped = wrap(text, width: 1040 * 10 / (size * 6), limit: size == 46 ? 4 : 2)
      let first = 300 - (wrapped.count - 1) * size * 6 / 10 + size / 5
      for (number, line) in wrapped.enumerated() {
        lines.append(["text": line, "size": size, "y": first + number * size * 6 / 5])
      }
    } else {
      lines.append(["text": text, "size": text.count <= 30 ? 54 : 38, "y": 412])
    }
    return templates.render(
      "preview",
      [
        "kind": outcome.endpoint.kind.outcomeTitle, "lines": lines, "dice": dice, "hasSeeds": true,
        "clientSeed": fit(outcome.clientSeed.description).shortened(to: 50),
        "serverHash": hex(outcome.serverHash.bytes),
      ])
  }

  /// Up to seven dice, side by side; more than that is told in numbers alone.
  private static func dice(of outcome: Outcome) -> [[String: Any]] {
    guard outcome.endpoint.kind.shape == .rolls, let sides = Fields(outcome.fields).integer("sides"),
      let rolls = (try? JSONText(outcome.value))?.root["rolls"]?.elements()?.compactMap({ $0.number.flatMap(Int.init) }
      ),
      (1...7).contains(rolls.count)
    else { return [] }
    return rolls.enumerated().map { place, roll in
      ["x": 80 + place * 150, "scale": 2, "shape": Die(sides: Int(sides), shows: roll).shape]
    }
  }

  /// Text without what XML cannot hold or a picture cannot show.
  private static func fit(_ text: String) -> String {
    String(String.UnicodeScalarView(plain(text).unicodeScalars.map { ($0.value & 0xFFFE) == 0xFFFE ? "\u{FFFD}" : $0 }))
  }

  /// Breaks text into lines of about `width` characters, at spaces where there are any.
  private static func wrap(_ text: String, width: Int, limit: Int) -> [String] {
    var lines: [String] = []
    var rest = text[...]
    while !rest.isEmpty && lines.count < limit {
      var line = rest.prefix(width)
      if line.endIndex < rest.endIndex, let space = line.lastIndex(of: " "), space > line.startIndex {
        line = line[..<space]
      }
      rest = rest[line.endIndex...].drop { $0 == " " }
      lines.append(String(line))
    }
    if !rest.isEmpty, let last = lines.indices.last { lines[last] += " …" }
    return lines
  }

  /// Why a picture could not be made; for the log.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// Renders SVG to PNG with librsvg. Blocks for some tens of milliseconds.
  package static func png(_ svg: String) throws(Failure) -> [UInt8] {
    var error: UnsafeMutablePointer<GError>?
    let source = Array(svg.utf8)
    guard let handle = rsvg_handle_new_from_data(source, gsize(source.count), &error) else {
      throw failure("the SVG cannot be read", &error)
    }
    defer { g_object_unref(UnsafeMutableRawPointer(handle)) }
    guard let surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1200, 630) else {
      throw Failure(description: "cairo gave no surface")
    }
    defer { cairo_surface_destroy(surface) }
    guard let context = cairo_create(surface) else { throw Failure(description: "cairo gave no context") }
    defer { cairo_destroy(context) }
    var viewport = RsvgRectangle(x: 0, y: 0, width: 1200, height: 630)
    guard rsvg_handle_render_document(handle, context, &viewport, &error) != 0 else {
      throw failure("the SVG cannot be rendered", &error)
    }
    var png: [UInt8] = []
    let status = withUnsafeMutablePointer(to: &png) { target in
      cairo_surface_write_to_png_stream(
        surface,
        { closure, bytes, count in
          guard let closure, let bytes else { return CAIRO_STATUS_WRITE_ERROR }
          let target = closure.assumingMemoryBound(to: [UInt8].self)
          target.pointee.append(contentsOf: UnsafeBufferPointer(start: bytes, count: Int(count)))
          return CAIRO_STATUS_SUCCESS
        }, target)
    }
    guard status == CAIRO_STATUS_SUCCESS else {
      throw Failure(description: "cairo cannot write the PNG: \(String(cString: cairo_status_to_string(status)))")
    }
    return png
  }

  private static func failure(_ what: String, _ error: inout UnsafeMutablePointer<GError>?) -> Failure {
    defer { g_clear_error(&error) }
    let message = error?.pointee.message.map { String(cString: $0) } ?? "no reason given"
    return Failure(description: "\(what): \(message)")
  }
}
