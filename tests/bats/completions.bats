#!/usr/bin/env bats
# Shell completions know every command, option and word that --help shows.

load helper

commands() { dcls help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'; }

# Options of a command as --help prints them: "-m --model" a line.
options() { dcls help "$1" | sed -nE 's/^  (-[a-zA-Z]), (--[a-z0-9-]+).*/\1 \2/p; s/^      (--[a-z0-9-]+).*/\1/p'; }

# Words an option chooses among: "text json csv".
choices() { dcls help "$1" | sed -nE 's/^  (-[a-zA-Z], |    )--[a-z0-9-]+ ([a-z0-9]+(\|[a-z0-9]+)*)( .*)?$/\2/p' | tr '|' ' '; }

@test "help shows options in the form this test reads" {
  is "options of inspect" "$(options inspect | tr '\n' ' ')" \
    "--key --module -t --tensor -n --values -m --model --input --arch --set --json --threads -q --quiet -v --verbose -h --help "
  has "choices of infer" "$(choices infer)" "auto construct im2col sparse"
  has "choices of bench" "$(choices bench)" "fp32 bf16"
  has "choices of convert" "$(choices convert)" "dense"
}

@test "bash: commands, options, words" {
  # shellcheck disable=SC1091
  source "$root/completions/dcls.bash"
  complete_line() { # WORD..: completes the last one
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _dcls
    echo "${COMPREPLY[*]}"
  }
  compopt() { :; }
  local command option
  for command in $(commands); do
    has "dcls " " $(complete_line dcls '') " " $command "
    has "dcls help " " $(complete_line dcls help '') " " $command "
    for option in $(options "$command"); do
      has "dcls $command -" " $(complete_line dcls "$command" -) " " $option "
    done
  done
  is words "$(complete_line dcls infer --format '')" "$(choices infer | sed -n 1p)"
  is words "$(complete_line dcls infer --algo '')" "$(choices infer | sed -n 2p)"
  is 'behind =' "$(complete_line dcls infer --algo = c)" construct
  is 'at =' "$(complete_line dcls infer --algo =)" "$(choices infer | sed -n 2p)"
  has 'model behind =' "$(complete_line dcls infer --model = builtin : unet-dcls-c)" unet-dcls-camvid
  has 'inspect -m' "$(complete_line dcls inspect -m builtin : unet-dcls-c)" unet-dcls-camvid
  has 'an operand' "$(complete_line dcls inspect builtin : unet-dcls-c)" unet-dcls-camvid
  is 'no file' "$(complete_line dcls train --lovasz '')" ""
  is words "$(complete_line dcls convert --to '')" "$(choices convert)"
  dcls() { echo 'built-in models: one, two'; }
  is "models" "$(complete_line dcls infer -m b)" "builtin:one builtin:two"
  is "names behind a colon" "$(complete_line dcls infer -m builtin :)" "one two"
  is "names behind a colon" "$(complete_line dcls infer -m builtin : t)" "two"
  touch picture.png
  has files " $(complete_line dcls infer pic) " " picture.png "
}

@test "zsh and fish: commands, options, words" {
  local zsh fish command option word words
  zsh=$(cat "$root/completions/_dcls")
  fish=$(cat "$root/completions/dcls.fish")
  for command in $(commands); do
    has _dcls "$zsh" "'$command:"
    has dcls.fish "$fish" " -a $command "
    while read -r words; do
      has _dcls "$zsh" "($words)"
      grep -qE -- " -a ('$words'|$words) " <<<"$fish" || { echo "dcls.fish lacks $words"; return 1; }
    done < <(choices "$command")
    for option in $(options "$command"); do
      case $option in
        --*)
          grep -qE -- "[',*]$option[]['}]" <<<"$zsh" || { echo "_dcls lacks $option"; return 1; }
          grep -qE -- " -l ${option#--}( |$)" <<<"$fish" || { echo "dcls.fish lacks $option"; return 1; }
          ;;
        *)
          has _dcls "$zsh" "{$option,--"
          has dcls.fish "$fish" " -s ${option#-} "
          ;;
      esac
    done
  done
}

@test "completions offer no option that does not exist" {
  local known option
  known=" --version --help $(for c in $(commands); do options "$c"; done | tr '\n' ' ') "
  for option in $(grep -ohE -- "(^|[ '{,(])--[a-z][a-z0-9-]*" "$root/completions/dcls.bash" "$root/completions/_dcls" |
    grep -oE -- '--[a-z0-9-]+' | sort -u) \
    $(sed -nE 's/^complete .* -l ([a-z0-9-]+).*/--\1/p' "$root/completions/dcls.fish"); do
    has "options of dcls" "$known" " $option "
  done
}

@test "the shells accept the files" {
  local shell found=
  for shell in bash:dcls.bash zsh:_dcls fish:dcls.fish; do
    command -v "${shell%%:*}" >/dev/null || continue
    "${shell%%:*}" -n "$root/completions/${shell#*:}"
    found=$shell
  done
  [[ -n $found ]]
}
