#include "drivers/ur/script.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace instep {
namespace {

// ------------------------------------------------------------------------------------------------
// Tokens

enum class TokenKind : std::uint8_t { kEnd, kLine, kName, kInteger, kFloat, kText, kSign, kWrong };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;  // of a kText: without its quotes
  int line = 1;

  bool is(std::string_view sign) const {
    return (kind == TokenKind::kSign || kind == TokenKind::kName) && text == sign;
  }
};

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  Token next() {
    skip_blanks();
    Token token;
    token.line = line_;
    if (rest_.empty()) return token;
    const char c = rest_[0];
    if (c == '\n') {
      ++line_;
      return take(token, TokenKind::kLine, 1);
    }
    if (is_letter(c)) return take(token, TokenKind::kName, length_of(is_letter, is_digit));
    if (is_digit(c) || (c == '.' && rest_.size() > 1 && is_digit(rest_[1]))) return number(token);
    if (c == '"' || c == '\'') return quoted(token, c);
    return sign(token);
  }

 private:
  void skip_blanks() {
    while (!rest_.empty()) {
      const char c = rest_[0];
      if (c == '#') {
        rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      } else if (c == ' ' || c == '\t' || c == '\r' || c == ';') {
        rest_.remove_prefix(1);
      } else {
        return;
      }
    }
  }

  Token take(Token token, TokenKind kind, std::size_t size) {
    token.kind = kind;
    token.text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return token;
  }

  template <class First, class Second>
  std::size_t length_of(First first, Second second) const {
    std::size_t size = 0;
    while (size < rest_.size() && (first(rest_[size]) || second(rest_[size]))) ++size;
    return size;
  }

  Token number(Token token) {
    std::size_t size = 0;
    bool is_float = false;
    const auto digits = [&] {
      while (size < rest_.size() && is_digit(rest_[size])) ++size;
    };
    digits();
    if (size < rest_.size() && rest_[size] == '.') {
      is_float = true;
      ++size;
      digits();
    }
    if (size < rest_.size() && (rest_[size] == 'e' || rest_[size] == 'E')) {
      std::size_t end = size + 1;
      if (end < rest_.size() && (rest_[end] == '-' || rest_[end] == '+')) ++end;
      if (end < rest_.size() && is_digit(rest_[end])) {
        is_float = true;
        size = end;
        digits();
      }
    }
    return take(token, is_float ? TokenKind::kFloat : TokenKind::kInteger, size);
  }

  Token quoted(Token token, char quote) {
    const std::size_t end = rest_.find_first_of(quote == '"' ? "\"\n" : "'\n", 1);
    if (end == std::string_view::npos || rest_[end] == '\n') {
      return take(token, TokenKind::kWrong, 1);
    }
    token = take(token, TokenKind::kText, end + 1);
    token.text = token.text.substr(1, token.text.size() - 2);
    return token;
  }

  Token sign(Token token) {
    constexpr std::array<std::string_view, 4> kPairs = {"==", "!=", "<=", ">="};
    for (const std::string_view pair : kPairs) {
      if (rest_.starts_with(pair)) return take(token, TokenKind::kSign, 2);
    }
    constexpr std::string_view kSigns = "()[],:=+-*/%<>.";
    const bool is_known = kSigns.find(rest_[0]) != std::string_view::npos;
    return take(token, is_known ? TokenKind::kSign : TokenKind::kWrong, 1);
  }

  std::string_view rest_;
  int line_ = 1;
};

constexpr std::array<std::string_view, 24> kWords = {
    "and",           "break", "continue", "def",  "elif", "else",   "end",  "enter_critical",
    "exit_critical", "False", "global",   "halt", "if",   "join",   "kill", "local",
    "not",           "or",    "return",   "run",  "sec",  "thread", "True", "while"};

bool is_word(std::string_view name) {
  return name == "xor" || std::find(kWords.begin(), kWords.end(), name) != kWords.end();
}

// Whether a line that begins with this word has an `end` of its own.
bool opens_block(std::string_view word) {
  return word == "def" || word == "sec" || word == "thread" || word == "if" || word == "while";
}

// ------------------------------------------------------------------------------------------------
// Names: found before anything is compiled, so that a thread may be run before its text.

struct Variable {
  std::string_view name;
  int function = -1;  // -1: global
  int slot = 0;
};

class Names {
 public:
  static constexpr std::size_t kVariablesMax = 768;

  int find(std::string_view name, int function) const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (variables_[i].function == function && variables_[i].name == name) {
        return variables_[i].slot;
      }
    }
    return -1;
  }

  // The slot of a name that is there or has found room; -1: it has not.
  int add(std::string_view name, int function) {
    if (const int slot = find(name, function); slot >= 0) return slot;
    int& slots = function < 0 ? globals_ : locals_[static_cast<std::size_t>(function)];
    const std::size_t most = function < 0 ? UrProgram::kGlobalsMax : UrProgram::kLocalsMax;
    if (count_ == kVariablesMax || static_cast<std::size_t>(slots) == most) return -1;
    variables_[count_++] = {name, function, slots};
    return slots++;
  }

  int locals(int function) const { return locals_[static_cast<std::size_t>(function)]; }
  int globals() const { return globals_; }

 private:
  std::array<Variable, kVariablesMax> variables_{};
  std::size_t count_ = 0;
  std::array<int, UrProgram::kFunctionsMax> locals_{};
  int globals_ = 0;
};

// ------------------------------------------------------------------------------------------------
// The compiler

enum class BlockKind : std::uint8_t { kProgram, kFunction, kIf, kWhile };

struct Block {
  BlockKind kind = BlockKind::kProgram;
  int begin = 0;      // while: the condition; function: the jump over it
  int if_false = -1;  // the jump of the last condition, to be aimed
  int ends = -1;      // last of a chain of jumps to the end, each holding the one before
  int function = -1;  // the enclosing one, of a function's block
};

enum class Frame : std::uint8_t {
  kUnary,
  kBinary,
  kBracket,
  kCall,
  kBuiltin,
  kRun,
  kList,
  kPose,
  kIndex
};

// What waits on the operator stack while an expression is read.
struct Pending {
  Frame frame = Frame::kBracket;
  UrOp op = UrOp::kHalt;
  int precedence = 0;
  int number = 0;  // of the function
  int count = 0;   // of arguments or elements that are complete
  std::uint32_t parameters = 0;
};

struct BinaryOperator {
  std::string_view sign;
  UrOp op;
  int precedence;
};
constexpr int kUnaryMinus = 7;
constexpr int kUnaryNot = 3;
constexpr std::array<BinaryOperator, 14> kOperators = {{{"or", UrOp::kOr, 1},
                                                        {"xor", UrOp::kXor, 1},
                                                        {"and", UrOp::kAnd, 2},
                                                        {"==", UrOp::kEqual, 4},
                                                        {"!=", UrOp::kNotEqual, 4},
                                                        {"<", UrOp::kLess, 4},
                                                        {"<=", UrOp::kLessEqual, 4},
                                                        {">", UrOp::kGreater, 4},
                                                        {">=", UrOp::kGreaterEqual, 4},
                                                        {"+", UrOp::kAdd, 5},
                                                        {"-", UrOp::kSubtract, 5},
                                                        {"*", UrOp::kMultiply, 6},
                                                        {"/", UrOp::kDivide, 6},
                                                        {"%", UrOp::kModulo, 6}}};

class Compiler {
 public:
  Compiler(std::string_view text, UrProgram* program, UrScriptError* error)
      : text_(text), program_(*program), error_(*error), lexer_(text) {}

  bool run() {
    program_.operation_count = program_.constant_count = program_.function_count = 0;
    program_.global_count = program_.text_size = program_.is_secondary = 0;
    program_.name = {};
    error_ = {};
    if (!find_names()) return false;
    lexer_ = Lexer(text_);
    advance();
    blocks_[0] = {};
    block_count_ = 1;
    while (!has_failed_ && token_.kind != TokenKind::kEnd) statement();
    if (!has_failed_ && block_count_ > 1) fail_syntax();
    if (!has_failed_ && has_header_ && !is_closed_) fail_syntax();
    if (!has_failed_) emit(UrOp::kHalt);
    for (std::size_t i = 0; i < function_count_; ++i) {
      program_.functions[i].locals = names_.locals(static_cast<int>(i));
    }
    program_.function_count = static_cast<std::int64_t>(function_count_);
    program_.global_count = names_.globals();
    return !has_failed_;
  }

 private:
  // ----- first pass
  bool find_names() {
    advance();
    skip_lines();
    has_header_ = token_.is("def") || token_.is("sec");
    std::size_t depth = 0;  // of blocks inside the outermost definition
    int brackets = 0;
    std::array<int, kBlocksMax> functions{};
    functions[0] = -1;
    if (has_header_) skip_header();
    while (!has_failed_ && token_.kind != TokenKind::kEnd) {
      const Token word = token_;
      const bool is_definition = word.is("def") || word.is("thread") || word.is("sec");
      if (word.is("(") || word.is("[")) ++brackets;
      if (word.is(")") || word.is("]")) --brackets;
      if (word.kind != TokenKind::kName || brackets > 0) {
        advance();
      } else if (opens_block(word.text)) {
        if (depth + 1 == kBlocksMax) {
          fail("too_many_nested_blocks");
          return false;
        }
        functions[depth + 1] =
            is_definition ? find_function_head(word.is("thread")) : functions[depth];
        ++depth;
        if (!is_definition) advance();
      } else if (word.is("end")) {
        if (depth > 0) --depth;
        advance();
      } else {
        find_assignment(functions[depth]);
      }
    }
    return !has_failed_;
  }

  // Parameters of the program itself are none of ours.
  void skip_header() {
    while (token_.kind != TokenKind::kEnd && !token_.is(":")) advance();
  }

  // `def name(parameter, ...)`, from `def` to the name's bracket at least.
  int find_function_head(bool is_thread) {
    advance();
    if (function_count_ == UrProgram::kFunctionsMax) {
      fail("too_many_functions");
      return -1;
    }
    const int function = static_cast<int>(function_count_);
    function_names_[function_count_++] = token_.text;
    auto& entry = program_.functions[static_cast<std::size_t>(function)];
    entry = {};
    entry.is_thread = is_thread ? 1 : 0;
    advance();
    while (token_.kind != TokenKind::kLine && token_.kind != TokenKind::kEnd && !token_.is(":")) {
      if (token_.kind == TokenKind::kName) {
        add_variable(token_.text, function);
        ++entry.parameters;
      }
      advance();
    }
    return function;
  }

  void find_assignment(int function) {
    const bool is_global = token_.is("global");
    if (is_global || token_.is("local")) {
      advance();
      if (token_.kind == TokenKind::kName) add_variable(token_.text, is_global ? -1 : function);
      return;
    }
    const std::string_view name = token_.text;
    advance();
    if (is_word(name)) return;
    // A name that is global by now is not declared again.
    if (token_.is("=") && names_.find(name, -1) < 0) add_variable(name, function);
  }

  void add_variable(std::string_view name, int function) {
    if (names_.add(name, function) < 0) fail("too_many_variables");
  }

  // ----- statements
  void statement() {
    skip_lines();
    if (token_.kind == TokenKind::kEnd) return;
    if (is_closed_) return fail_syntax();
    if (token_.is("def") || token_.is("sec") || token_.is("thread")) return definition();
    if (token_.is("if") || token_.is("while")) return condition();
    if (token_.is("elif") || token_.is("else")) return otherwise();
    if (token_.is("end")) return end_block();
    if (token_.is("break") || token_.is("continue")) return leave_loop();
    if (token_.is("return")) return return_value();
    simple_statement();
  }

  void simple_statement() {
    if (token_.is("halt")) {
      advance();
      emit(UrOp::kHalt);
    } else if (token_.is("enter_critical") || token_.is("exit_critical")) {
      // Threads change places only where they wait, so that every section is critical.
      advance();
    } else if (token_.is("kill") || token_.is("join")) {
      const UrOp op = token_.is("kill") ? UrOp::kKill : UrOp::kJoin;
      advance();
      expression();
      emit(op);
    } else if (token_.is("global") || token_.is("local")) {
      const bool is_global = token_.is("global");
      advance();
      if (token_.kind != TokenKind::kName || is_word(token_.text)) return fail_syntax();
      const std::string_view name = token_.text;
      advance();
      store(name, is_global ? -1 : function_);
    } else {
      assignment_or_call();
    }
  }

  void assignment_or_call() {
    const Token name = token_;
    const Lexer before = lexer_;
    if (name.kind == TokenKind::kName && !is_word(name.text)) {
      advance();
      if (token_.is("=")) {
        return store(name.text, local_slot(name.text) >= 0 ? function_ : -1);
      }
      if (token_.is("[") && has_variable(name.text)) return store_element(name.text);
      lexer_ = before;
      token_ = name;
    }
    expression();
    emit(UrOp::kPop);
  }

  // Of a variable of the function that is being compiled; -1: it has none of this name.
  int local_slot(std::string_view name) const {
    return function_ < 0 ? -1 : names_.find(name, function_);
  }

  bool has_variable(std::string_view name) const {
    return local_slot(name) >= 0 || names_.find(name, -1) >= 0;
  }

  void store(std::string_view name, int function) {
    if (!token_.is("=")) return fail_syntax();
    advance();
    expression();
    const int slot = names_.find(name, function);
    if (slot < 0) return fail_name(name);
    emit(function < 0 ? UrOp::kStoreGlobal : UrOp::kStoreLocal, 0, slot);
  }

  void store_element(std::string_view name) {
    advance();
    expression();
    if (!token_.is("]")) return fail_syntax();
    advance();
    if (!token_.is("=")) return fail_syntax();
    advance();
    expression();
    if (const int slot = local_slot(name); slot >= 0) return emit(UrOp::kPutLocal, 0, slot);
    emit(UrOp::kPutGlobal, 0, names_.find(name, -1));
  }

  void definition() {
    const bool is_program = block_count_ == 1 && has_header_;
    if (token_.is("sec")) {
      if (!is_program) return fail_syntax();
      program_.is_secondary = 1;
    }
    advance();
    if (token_.kind != TokenKind::kName || is_word(token_.text)) return fail_syntax();
    const std::string_view name = token_.text;
    advance();
    if (!parameter_list() || !token_.is(":")) return fail_syntax();
    advance();
    Block block;
    block.kind = is_program ? BlockKind::kProgram : BlockKind::kFunction;
    block.begin = here();
    block.function = function_;
    if (is_program) {
      const std::size_t size = std::min(name.size(), UrProgram::kNameMax - 1);
      std::copy_n(name.begin(), size, program_.name.begin());
    } else {
      emit(UrOp::kJump);
      function_ = next_function_++;
      program_.functions[static_cast<std::size_t>(function_)].entry = here();
    }
    push_block(block);
  }

  bool parameter_list() {
    if (!token_.is("(")) return false;
    advance();
    while (token_.kind == TokenKind::kName) {
      advance();
      if (!token_.is(",")) break;
      advance();
    }
    if (!token_.is(")")) return false;
    advance();
    return true;
  }

  void condition() {
    Block block;
    block.kind = token_.is("if") ? BlockKind::kIf : BlockKind::kWhile;
    block.begin = here();
    advance();
    expression();
    if (!token_.is(":")) return fail_syntax();
    advance();
    block.if_false = here();
    emit(UrOp::kJumpIfFalse);
    push_block(block);
  }

  void otherwise() {
    Block& block = blocks_[block_count_ - 1];
    if (block.kind != BlockKind::kIf || block.if_false < 0) return fail_syntax();
    const int jump = here();
    emit(UrOp::kJump, 0, block.ends);
    block.ends = jump;
    aim(block.if_false, here());
    block.if_false = -1;
    const bool has_condition = token_.is("elif");
    advance();
    if (has_condition) {
      expression();
      block.if_false = here();
      emit(UrOp::kJumpIfFalse);
    }
    if (!token_.is(":")) return fail_syntax();
    advance();
  }

  void end_block() {
    if (block_count_ == 1) return fail_syntax();
    advance();
    Block& block = blocks_[--block_count_];
    switch (block.kind) {
      case BlockKind::kProgram:
        is_closed_ = true;
        break;
      case BlockKind::kFunction:
        emit(UrOp::kConstant, 0, constant({}));
        emit(UrOp::kReturn);
        aim(block.begin, here());
        function_ = block.function;
        break;
      case BlockKind::kWhile:
        emit(UrOp::kJump, 0, block.begin);
        [[fallthrough]];
      case BlockKind::kIf:
        if (block.if_false >= 0) aim(block.if_false, here());
        aim_chain(block.ends, here());
        break;
    }
  }

  void leave_loop() {
    std::size_t at = block_count_;
    while (at > 0 && blocks_[at - 1].kind == BlockKind::kIf) --at;
    if (at == 0 || blocks_[at - 1].kind != BlockKind::kWhile) return fail_syntax();
    Block& loop = blocks_[at - 1];
    if (token_.is("continue")) {
      emit(UrOp::kJump, 0, loop.begin);
    } else {
      const int jump = here();
      emit(UrOp::kJump, 0, loop.ends);
      loop.ends = jump;
    }
    advance();
  }

  void return_value() {
    advance();
    if (token_.kind == TokenKind::kLine || token_.kind == TokenKind::kEnd) {
      emit(UrOp::kConstant, 0, constant({}));
    } else {
      expression();
    }
    emit(function_ < 0 ? UrOp::kHalt : UrOp::kReturn);
  }

  // ----- expressions: operators and open brackets wait on a stack
  void expression() {
    const std::size_t floor = pending_count_;
    bool wants_value = true;
    for (bool goes_on = true; goes_on && !has_failed_;) {
      // A line's end ends an expression only where it is complete.
      if (wants_value || bracket_above(floor)) skip_lines();
      goes_on = wants_value ? value(wants_value) : operation(floor, wants_value);
    }
    if (has_failed_) return;
    if (wants_value || bracket_above(floor)) return fail_syntax();
    while (pending_count_ > floor) reduce();
  }

  bool bracket_above(std::size_t floor) const {
    for (std::size_t i = floor; i < pending_count_; ++i) {
      if (pending_[i].frame > Frame::kBinary) return true;
    }
    return false;
  }

  // A value, or what stands before one. Answers false at what is neither.
  bool value(bool& wants_value) {
    const Token token = token_;
    if (token.is("-") || token.is("+")) {
      if (token.is("-")) push({Frame::kUnary, UrOp::kNegate, kUnaryMinus});
      advance();
      return true;
    }
    if (token.is("not")) {
      push({Frame::kUnary, UrOp::kNot, kUnaryNot});
      advance();
      return true;
    }
    if (token.is("(") || token.is("[")) {
      advance();
      push({token.is("(") ? Frame::kBracket : Frame::kList});
      if (token.is("[") && token_.is("]")) {
        wants_value = false;
        close();
      }
      return true;
    }
    wants_value = false;
    switch (token.kind) {
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return number(token);
      case TokenKind::kText:
        advance();
        emit(UrOp::kConstant, 0, text_constant(token.text));
        return true;
      case TokenKind::kName:
        return name(token, wants_value);
      default:
        fail_syntax();
        return false;
    }
  }

  bool number(const Token& token) {
    UrConstant constant_value;
    const char* const end = token.text.data() + token.text.size();
    std::from_chars_result result{};
    if (token.kind == TokenKind::kInteger) {
      constant_value.kind = UrKind::kInteger;
      result = std::from_chars(token.text.data(), end, constant_value.whole);
    } else {
      constant_value.kind = UrKind::kFloat;
      result = std::from_chars(token.text.data(), end, constant_value.number);
    }
    if (result.ec != std::errc()) {
      fail_syntax();
      return false;
    }
    advance();
    emit(UrOp::kConstant, 0, constant(constant_value));
    return true;
  }

  bool name(const Token& token, bool& wants_value) {
    if (token.is("True") || token.is("False")) {
      advance();
      emit(UrOp::kConstant, 0, constant({UrKind::kBool, token.is("True") ? 1 : 0, 0.0}));
      return true;
    }
    const bool runs = token.is("run");
    if (runs) advance();
    const Token called = token_;
    if (called.kind != TokenKind::kName || is_word(called.text)) {
      fail_syntax();
      return false;
    }
    advance();
    if (token_.is("(")) return call(called, runs, wants_value);
    if (runs) {
      fail_syntax();
      return false;
    }
    if (called.text == "p" && token_.is("[") && !has_variable("p")) {
      advance();
      push({Frame::kPose});
      wants_value = true;
      return true;
    }
    return load(called.text);
  }

  bool load(std::string_view name) {
    if (const int slot = local_slot(name); slot >= 0) {
      emit(UrOp::kLoadLocal, 0, slot);
    } else if (const int global = names_.find(name, -1); global >= 0) {
      emit(UrOp::kLoadGlobal, 0, global);
    } else {
      fail_name(name);
      return false;
    }
    return true;
  }

  bool call(const Token& called, bool runs, bool& wants_value) {
    Pending pending;
    pending.number = -1;
    for (std::size_t i = 0; i < function_count_; ++i) {
      if (function_names_[i] == called.text) pending.number = static_cast<int>(i);
    }
    pending.frame = runs ? Frame::kRun : Frame::kCall;
    if (pending.number < 0 && !runs) {
      pending.number = find_ur_function(called.text);
      pending.frame = Frame::kBuiltin;
    }
    if (pending.number < 0) {
      fail_name(called.text);
      return false;
    }
    advance();
    push(pending);
    wants_value = true;
    while (token_.kind == TokenKind::kLine) advance();
    if (token_.is(")")) {
      wants_value = false;
      close();
      return !has_failed_;
    }
    named_argument();
    return true;
  }

  // `a=1.4` where an argument begins, for the controller's own functions.
  void named_argument() {
    Pending& top = pending_[pending_count_ - 1];
    if (top.frame != Frame::kBuiltin) return;
    const UrFunctionEntry& entry = ur_function(top.number);
    if (top.count >= static_cast<int>(kUrParametersMax)) return fail_arguments(entry.name);
    std::size_t parameter = static_cast<std::size_t>(top.count);
    if (token_.kind == TokenKind::kName && !is_word(token_.text)) {
      const Lexer before = lexer_;
      const Token name = token_;
      advance();
      if (token_.is("=")) {
        advance();
        const auto found = std::find(entry.parameters.begin(), entry.parameters.end(), name.text);
        if (found == entry.parameters.end() && entry.function != UrFunction::kNotSimulated) {
          return fail_name(name.text);
        }
        if (found != entry.parameters.end()) {
          parameter = static_cast<std::size_t>(found - entry.parameters.begin());
        }
      } else {
        lexer_ = before;
        token_ = name;
      }
    }
    top.parameters |= static_cast<std::uint32_t>(parameter) << (4 * top.count);
  }

  // Between two values. Answers false where the expression ends.
  bool operation(std::size_t floor, bool& wants_value) {
    for (const BinaryOperator& binary : kOperators) {
      if (!token_.is(binary.sign)) continue;
      while (pending_count_ > floor && is_operator() &&
             pending_[pending_count_ - 1].precedence >= binary.precedence) {
        reduce();
      }
      push({Frame::kBinary, binary.op, binary.precedence});
      advance();
      wants_value = true;
      return true;
    }
    if (token_.is("[")) {
      advance();
      push({Frame::kIndex});
      wants_value = true;
      return true;
    }
    if (!bracket_above(floor)) return false;
    while (is_operator()) reduce();
    if (token_.is(",")) {
      Pending& top = pending_[pending_count_ - 1];
      if (top.frame == Frame::kBracket || top.frame == Frame::kIndex) {
        fail_syntax();
        return false;
      }
      ++top.count;
      advance();
      while (token_.kind == TokenKind::kLine) advance();
      named_argument();
      wants_value = true;
      return true;
    }
    ++pending_[pending_count_ - 1].count;
    close();
    return !has_failed_;
  }

  bool is_operator() const {
    return pending_count_ > 0 && pending_[pending_count_ - 1].frame <= Frame::kBinary;
  }

  void reduce() { emit(pending_[--pending_count_].op); }

  // The bracket that is open ends here.
  void close() {
    const Pending top = pending_[--pending_count_];
    const bool is_square = top.frame >= Frame::kList;
    if (!token_.is(is_square ? "]" : ")")) return fail_syntax();
    advance();
    const auto count = static_cast<std::uint16_t>(top.count);
    switch (top.frame) {
      case Frame::kList:
        return emit(UrOp::kList, 0, top.count);
      case Frame::kPose:
        if (top.count != 6) return fail_syntax();
        return emit(UrOp::kPose);
      case Frame::kIndex:
        return emit(UrOp::kIndex);
      case Frame::kCall:
      case Frame::kRun: {
        const auto& function = program_.functions[static_cast<std::size_t>(top.number)];
        if (top.count != function.parameters) {
          return fail_arguments(function_names_[static_cast<std::size_t>(top.number)]);
        }
        return emit(top.frame == Frame::kCall ? UrOp::kCall : UrOp::kRun, count, top.number);
      }
      case Frame::kBuiltin:
        return emit_builtin(top);
      default:
        return;
    }
  }

  void emit_builtin(const Pending& top) {
    const UrFunctionEntry& entry = ur_function(top.number);
    std::uint32_t given = 0;
    for (int i = 0; i < top.count; ++i) given |= 1U << (top.parameters >> (4 * i) & 15U);
    if (entry.function != UrFunction::kNotSimulated) {
      std::uint32_t known = 0;
      for (std::size_t i = 0; i < kUrParametersMax; ++i) {
        if (!entry.parameters[i].empty()) known |= 1U << i;
      }
      const std::uint32_t required = (1U << entry.required) - 1U;
      if ((given & ~known) != 0 || (given & required) != required) {
        return fail_arguments(entry.name);
      }
    }
    const std::uint32_t packed = static_cast<std::uint32_t>(top.count) | top.parameters << 4;
    emit(UrOp::kBuiltin, static_cast<std::uint16_t>(top.number), static_cast<std::int32_t>(packed));
  }

  void push(const Pending& pending) {
    if (pending_count_ == pending_.size()) return fail("too_many_nested_brackets");
    pending_[pending_count_++] = pending;
  }

  // ----- code
  int here() const { return static_cast<int>(program_.operation_count); }

  void emit(UrOp op, std::uint16_t a = 0, int b = 0) {
    if (has_failed_) return;
    if (program_.operation_count == static_cast<std::int64_t>(UrProgram::kOperationsMax)) {
      return fail("program_too_long");
    }
    const auto at = static_cast<std::size_t>(program_.operation_count++);
    program_.operations[at] = {op, a, b};
    program_.lines[at] = static_cast<std::uint16_t>(std::min(token_.line, 65535));
  }

  void aim(int jump, int target) {
    if (!has_failed_) program_.operations[static_cast<std::size_t>(jump)].b = target;
  }

  void aim_chain(int jump, int target) {
    while (jump >= 0 && !has_failed_) {
      const int before = program_.operations[static_cast<std::size_t>(jump)].b;
      aim(jump, target);
      jump = before;
    }
  }

  int constant(const UrConstant& value) {
    const auto count = static_cast<std::size_t>(program_.constant_count);
    for (std::size_t i = 0; i < count; ++i) {
      const UrConstant& old = program_.constants[i];
      if (old.kind == value.kind && old.whole == value.whole && old.number == value.number) {
        return static_cast<int>(i);
      }
    }
    if (count == UrProgram::kConstantsMax) {
      fail("too_many_constants");
      return 0;
    }
    program_.constants[count] = value;
    return static_cast<int>(program_.constant_count++);
  }

  int text_constant(std::string_view text) {
    const auto begin = static_cast<std::size_t>(program_.text_size);
    if (text.size() > UrProgram::kTextsMax - begin) {
      fail("too_much_text");
      return 0;
    }
    std::copy(text.begin(), text.end(),
              program_.texts.begin() + static_cast<std::ptrdiff_t>(begin));
    program_.text_size += static_cast<std::int64_t>(text.size());
    return constant(
        {UrKind::kText, static_cast<std::int32_t>(begin), static_cast<double>(text.size())});
  }

  void push_block(const Block& block) {
    if (block_count_ == kBlocksMax) return fail("too_many_nested_blocks");
    blocks_[block_count_++] = block;
  }

  // ----- tokens
  void advance() { token_ = lexer_.next(); }
  void skip_lines() {
    while (token_.kind == TokenKind::kLine) advance();
  }
  // ----- errors, as a controller words them
  void fail(const char* what, std::string_view name = "") {
    if (has_failed_) return;
    has_failed_ = true;
    error_.line = token_.line;
    const auto size = static_cast<int>(std::min<std::size_t>(name.size(), 80));
    std::snprintf(error_.text.data(), error_.text.size(), "%s:%.*s", what, size, name.data());
  }
  void fail_name(std::string_view name) { fail("compile_error_name_not_found", name); }
  void fail_arguments(std::string_view name) {
    fail("compile_error_wrong_number_of_arguments", name);
  }
  void fail_syntax() {
    std::array<char, 40> what{};
    std::snprintf(what.data(), what.size(), "syntax_error_on_line:%d", token_.line);
    const bool is_line_end = token_.kind == TokenKind::kLine || token_.kind == TokenKind::kEnd;
    fail(what.data(), is_line_end ? std::string_view("unexpected end") : token_.text);
  }

  static constexpr std::size_t kBlocksMax = 48;

  std::string_view text_;
  UrProgram& program_;
  UrScriptError& error_;
  Lexer lexer_;
  Token token_;
  Names names_;
  std::array<std::string_view, UrProgram::kFunctionsMax> function_names_{};
  std::size_t function_count_ = 0;
  int next_function_ = 0;
  int function_ = -1;  // the one being compiled; -1: the program itself
  std::array<Block, kBlocksMax> blocks_{};
  std::size_t block_count_ = 0;
  std::array<Pending, 96> pending_{};
  std::size_t pending_count_ = 0;
  bool has_header_ = false;
  bool is_closed_ = false;  // the outermost definition has ended
  bool has_failed_ = false;
};

}  // namespace

bool compile_ur_script(std::string_view text, UrProgram* program, UrScriptError* error) {
  return Compiler(text, program, error).run();
}

std::size_t ur_script_bytes(std::string_view text) {
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos;
       end = text.find('\n', begin)) {
    Lexer lexer(text.substr(begin, end - begin));
    begin = end + 1;
    for (Token token = lexer.next(); token.kind != TokenKind::kEnd; token = lexer.next()) {
      if (token.kind != TokenKind::kName) continue;
      if (opens_block(token.text)) ++depth;
      if (token.is("end")) --depth;
    }
    if (depth <= 0) return begin;
  }
  return 0;
}

}  // namespace instep
