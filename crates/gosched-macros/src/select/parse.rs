//! The grammar of the select macros, and the error messages for what does not follow it.
//!
//! ```text
//! cases    := case*
//! case     := operation "=>" body
//! operation:= "recv" "(" expr ","? ")" "->" pattern
//!           | "send" "(" expr "," expr ","? ")" "->" pattern
//!           | "default" ( "(" ( expr ","? )? ")" )?
//! body     := block ","? | block-like expr ","? | expr ("," | end)
//! ```
//!
//! Expressions are parsed only to learn where they end. What goes into the expansion are the
//! user's own tokens, so that a syntax `syn` prints differently, or an error inside a block, reaches
//! the compiler as it was written.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::buffer::Cursor;
use syn::parse::{ParseBuffer, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, Result, Token};

use super::Flavor;

/// A call of one of the macros, parsed.
pub(super) struct Invocation {
    /// The path of the library: the `$crate` of the shell.
    pub(super) library: TokenTree,
    pub(super) flavor: Flavor,
    /// The operations in the order in which they were written, `default` left out.
    pub(super) cases: Vec<Case>,
    pub(super) default: Option<DefaultCase>,
}

/// A `recv` or `send` case.
pub(super) struct Case {
    pub(super) operation: Operation,
    /// The pattern between `->` and `=>`.
    pub(super) pattern: TokenStream,
    pub(super) body: TokenStream,
}

/// What a case does with its channel.
pub(super) enum Operation {
    Recv { channel: TokenStream },
    Send { channel: TokenStream, message: TokenStream },
}

/// The `default` case, with or without a timeout.
pub(super) struct DefaultCase {
    pub(super) timeout: Option<TokenStream>,
    pub(super) body: TokenStream,
}

/// Parses `$crate select …cases…`.
pub(super) fn invocation(input: ParseStream<'_>) -> Result<Invocation> {
    let library = input.parse::<TokenTree>()?;
    let flavor = Flavor::named(&input.parse::<Ident>()?)?;
    let mut cases = Vec::new();
    let mut default = None;
    while !input.is_empty() {
        let keyword = Keyword::parse(input)?;
        if keyword.kind != Kind::Default {
            cases.push(case(&keyword, input)?);
            continue;
        }
        let parsed = default_case(&keyword, input)?;
        if default.replace(parsed).is_some() {
            let message = format!("there can be only one `default` case in `{}!`", flavor.name);
            return Err(Error::new(keyword.span, message));
        }
    }
    Ok(Invocation { library, flavor, cases, default })
}

/// The word a case begins with.
struct Keyword {
    kind: Kind,
    span: Span,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Recv,
    Send,
    Default,
}

impl Kind {
    fn of(token: &TokenTree) -> Option<Kind> {
        let TokenTree::Ident(ident) = token else { return None };
        match ident.to_string().as_str() {
            "recv" => Some(Kind::Recv),
            "send" => Some(Kind::Send),
            "default" => Some(Kind::Default),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Recv => "recv",
            Kind::Send => "send",
            Kind::Default => "default",
        }
    }
}

impl Keyword {
    fn parse(input: ParseStream<'_>) -> Result<Keyword> {
        let found = input.parse::<TokenTree>()?;
        match Kind::of(&found) {
            Some(kind) => Ok(Keyword { kind, span: found.span() }),
            None => {
                let message =
                    format!("expected one of `recv`, `send`, or `default`, found `{}`", shown(&found));
                Err(Error::new(found.span(), message))
            }
        }
    }

    /// The parenthesised arguments, if the next token opens some.
    fn arguments<'a>(&self, input: ParseStream<'a>) -> Result<Option<ParseBuffer<'a>>> {
        if !input.peek(syn::token::Paren) {
            return Ok(None);
        }
        let inner;
        syn::parenthesized!(inner in input);
        Ok(Some(inner))
    }

    /// The error for `recv` and `send` that are not followed by arguments.
    fn missing_arguments(&self, input: ParseStream<'_>) -> Error {
        let word = self.kind.word();
        if input.is_empty() || input.peek(Token![=>]) || input.peek(Token![->]) {
            return Error::new(self.span, format!("missing argument list after `{word}`"));
        }
        let found = next_shown(input);
        Error::new(input.span(), format!("expected an argument list after `{word}`, found `{found}`"))
    }
}

/// The rest of a `recv` or `send` case.
fn case(keyword: &Keyword, input: ParseStream<'_>) -> Result<Case> {
    let Some(arguments) = keyword.arguments(input)? else {
        return Err(keyword.missing_arguments(input));
    };
    let operation = if keyword.kind == Kind::Recv {
        let usage = "`recv` takes one argument: `recv(receiver) -> result => …`";
        let channel = argument(&arguments, keyword.span, usage)?;
        end_of_arguments(&arguments, usage)?;
        Operation::Recv { channel }
    } else {
        let usage = "`send` takes two arguments: `send(sender, message) -> result => …`";
        let channel = argument(&arguments, keyword.span, usage)?;
        if arguments.is_empty() {
            return Err(Error::new(keyword.span, usage));
        }
        arguments.parse::<Token![,]>()?;
        let message = argument(&arguments, keyword.span, usage)?;
        end_of_arguments(&arguments, usage)?;
        Operation::Send { channel, message }
    };
    let pattern = pattern(keyword, input)?;
    let body = body(keyword, input)?;
    Ok(Case { operation, pattern, body })
}

/// The rest of a `default` case.
fn default_case(keyword: &Keyword, input: ParseStream<'_>) -> Result<DefaultCase> {
    let timeout = match keyword.arguments(input)? {
        None => None,
        Some(arguments) if arguments.is_empty() => None,
        Some(arguments) => {
            let usage = "`default` takes at most one argument, the timeout";
            let timeout = argument(&arguments, keyword.span, usage)?;
            end_of_arguments(&arguments, usage)?;
            Some(timeout)
        }
    };
    if input.peek(Token![->]) {
        return Err(input.error("expected `=>` after `default` case, found `->`"));
    }
    if timeout.is_none() && !input.is_empty() && !input.peek(Token![=>]) {
        let found = next_shown(input);
        let message = format!("expected an argument list or `=>` after `default`, found `{found}`");
        return Err(input.error(message));
    }
    fat_arrow(keyword, input)?;
    let body = body(keyword, input)?;
    Ok(DefaultCase { timeout, body })
}

/// One expression of an argument list, as the tokens it was written in.
fn argument(arguments: ParseStream<'_>, keyword: Span, usage: &str) -> Result<TokenStream> {
    if arguments.is_empty() {
        return Err(Error::new(keyword, usage));
    }
    let begin = arguments.cursor();
    arguments.parse::<Expr>()?;
    Ok(tokens_between(begin, arguments.cursor()))
}

/// A trailing comma and nothing more.
fn end_of_arguments(arguments: ParseStream<'_>, usage: &str) -> Result<()> {
    arguments.parse::<Option<Token![,]>>()?;
    if arguments.is_empty() { Ok(()) } else { Err(arguments.error(usage)) }
}

/// `-> pattern =>`. The pattern is taken as it stands: no pattern contains a bare `=>`.
fn pattern(keyword: &Keyword, input: ParseStream<'_>) -> Result<TokenStream> {
    let word = keyword.kind.word();
    if input.peek(Token![=>]) {
        let message =
            format!("expected `->` after `{word}` case, found `=>`: write `-> _` to ignore the result");
        return Err(input.error(message));
    }
    if input.is_empty() {
        return Err(Error::new(keyword.span, format!("missing `-> result => …` after `{word}` case")));
    }
    if !input.peek(Token![->]) {
        return Err(input.error(format!("expected `->`, found `{}`", next_shown(input))));
    }
    let arrow = input.parse::<Token![->]>()?;
    let mut pattern = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![=>]) {
        if input.peek(Token![->]) {
            return Err(input.error("expected `=>`, found `->`"));
        }
        pattern.extend([input.parse::<TokenTree>()?]);
    }
    if pattern.is_empty() {
        return Err(Error::new(arrow.span(), "missing pattern after `->`"));
    }
    fat_arrow(keyword, input)?;
    Ok(pattern)
}

fn fat_arrow(keyword: &Keyword, input: ParseStream<'_>) -> Result<()> {
    if input.is_empty() {
        let word = keyword.kind.word();
        return Err(Error::new(keyword.span, format!("missing `=>` after `{word}` case")));
    }
    input.parse::<Token![=>]>().map(drop)
}

/// What follows `=>`, with the comma that ends it.
fn body(keyword: &Keyword, input: ParseStream<'_>) -> Result<TokenStream> {
    if input.is_empty() || input.peek(Token![,]) {
        let span = if input.is_empty() { keyword.span } else { input.span() };
        return Err(Error::new(span, "expected an expression after `=>`"));
    }
    if at_case(input) {
        return Err(input.error("expected an expression after `=>`, found the next case"));
    }
    if let Some(block) = plain_block(input) {
        input.parse::<TokenTree>()?;
        input.parse::<Option<Token![,]>>()?;
        return Ok(block.into());
    }
    let begin = input.cursor();
    let parsed = input.parse::<Expr>()?;
    let body = tokens_between(begin, input.cursor());
    // In parentheses an expression may begin with what looks like a whole statement: `{ 1 } as u8`.
    let expression = quote!((#body));
    if input.is_empty() || input.parse::<Option<Token![,]>>()?.is_some() {
        return Ok(expression);
    }
    if input.peek(Token![;]) {
        let message =
            format!("did you mean to put a comma instead of the semicolon after `{}`?", excerpt(&body));
        return Err(input.error(message));
    }
    if ends_like_a_block(&parsed) {
        return Ok(expression);
    }
    let message = format!("did you mean to put a comma after `{}`?", excerpt(&body));
    Err(Error::new(parsed.span(), message))
}

/// A body that is a block and nothing more. Its inside is left to the compiler entirely.
fn plain_block(input: ParseStream<'_>) -> Option<TokenTree> {
    let (block, rest) = input.cursor().token_tree()?;
    if !matches!(&block, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace) {
        return None;
    }
    match rest.token_tree() {
        None => Some(block),
        Some((TokenTree::Punct(punct), _)) if punct.as_char() == ',' => Some(block),
        // The next case, unless the block is the operand of `as`.
        Some((TokenTree::Ident(ident), _)) if ident != "as" => Some(block),
        Some(_) => None,
    }
}

/// Whether a whole case head stands here: a body was forgotten.
fn at_case(input: ParseStream<'_>) -> bool {
    let Some((first, rest)) = input.cursor().token_tree() else { return false };
    let Some(kind) = Kind::of(&first) else { return false };
    let (second, rest) = match rest.token_tree() {
        Some((TokenTree::Group(group), rest)) if group.delimiter() == Delimiter::Parenthesis => (None, rest),
        Some((other, rest)) => (Some(other), rest),
        None => return false,
    };
    let arrow = |token: &TokenTree, mark: char| matches!(token, TokenTree::Punct(p) if p.as_char() == mark);
    match (second, rest.token_tree()) {
        (Some(first), Some((second, _))) => {
            kind == Kind::Default && arrow(&first, '=') && arrow(&second, '>')
        }
        (None, Some((first, rest))) => {
            let closes = rest.token_tree().is_some_and(|(second, _)| arrow(&second, '>'));
            closes && (arrow(&first, '-') || arrow(&first, '='))
        }
        _ => false,
    }
}

/// Whether the expression may be followed by the next case without a comma, as in a `match`.
fn ends_like_a_block(expression: &Expr) -> bool {
    matches!(
        expression,
        Expr::Block(_)
            | Expr::Const(_)
            | Expr::ForLoop(_)
            | Expr::If(_)
            | Expr::Loop(_)
            | Expr::Match(_)
            | Expr::TryBlock(_)
            | Expr::Unsafe(_)
            | Expr::While(_)
    )
}

/// The tokens from `begin` up to `end`, unchanged.
fn tokens_between(begin: Cursor<'_>, end: Cursor<'_>) -> TokenStream {
    let mut tokens = TokenStream::new();
    let mut here = begin;
    while here < end {
        let Some((token, next)) = here.token_tree() else { break };
        tokens.extend([token]);
        here = next;
    }
    tokens
}

/// The next token as an error message shows it.
fn next_shown(input: ParseStream<'_>) -> String {
    input.cursor().token_tree().map_or_else(String::new, |(token, _)| shown(&token))
}

/// A token as an error message shows it: a group by its brackets.
fn shown(token: &TokenTree) -> String {
    match token {
        TokenTree::Group(group) => match group.delimiter() {
            Delimiter::Parenthesis => "(…)".to_owned(),
            Delimiter::Brace => "{…}".to_owned(),
            Delimiter::Bracket => "[…]".to_owned(),
            Delimiter::None => group.stream().to_string(),
        },
        other => other.to_string(),
    }
}

/// Code as an error message quotes it: what is long is cut.
fn excerpt(tokens: &TokenStream) -> String {
    const LONGEST: usize = 40;
    let text = tokens.to_string();
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}
