import API
import Testing

@Suite struct StructuredFieldsTests {
  /// A field's members as text; nil if it is malformed.
  private func read(_ field: String) -> [String]? {
    func text(_ parameters: StructuredFields.Parameters) -> String {
      parameters.map { ";\($0.name)=\($0.value)" }.joined()
    }
    return StructuredFields.dictionary(field)?.map { key, list in
      "\(key)(" + list.items.map { $0.text + text($0.parameters) }.joined(separator: " ") + ")" + text(list.parameters)
    }
  }

  @Test func dictionariesOfLists() {
    #expect(read("") == [])
    #expect(read(" a=()") == ["a()"])
    #expect(
      read(#"a=("x" "y";req);n=1, *b-2.c_=(  "z"  );t"#) == [
        "a(x y;req=boolean(true));n=integer(1)", "*b-2.c_(z);t=boolean(true)",
      ])
    #expect(read("a=(\"x\")\t ,\t b=()") == ["a(x)", "b()"])
    #expect(
      read(#"a=("\"\\");b=?0; c=word/*:x;d=-12;b=?1"#) == [#"a("\);c=token("word/*:x");d=integer(-12);b=boolean(true)"#]
    )
    #expect(read(#"a=("x"), b=(), a=("y")"#) == ["b()", "a(y)"], "the last of one name counts")
  }

  @Test(arguments: [
    "a", "a=", "a=x", "a=(x)", "a=(1)", "a=(\"x\"", "a=(\"x)", "a=(\"x\"\"y\")", "a=(\"x\";)", "a=();", "a=();=1",
    "a=();b=", "a=(),", ",a=()", "a=()b=()",
    "A=()", "1=()", "a =()", "a= ()", "a=();B", "a=(\"\\x\")", "a=(\"é\")", "a=(\"\u{1}\")", "a=();b=?2", "a=();b=1.5",
    "a=();b=:YQ==:", "a=();b=9999999999999999", "a=(\t\"x\")",
  ]) func whatIsNone(_ field: String) {
    #expect(read(field) == nil)
  }
}
