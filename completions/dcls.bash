# bash completion for dcls

_dcls_builtins() {
  dcls --version 2>/dev/null | sed -n 's/^built-in models: //p' | tr -d ' ' | tr ',' '\n' | sed 's/^/builtin:/'
}

# Files and built-in models. A colon breaks words, so behind one only the name is offered.
_dcls_models() {
  local names
  names=$(_dcls_builtins)
  if [[ $cur == : || ${COMP_WORDS[COMP_CWORD - 1]} == : ]]; then
    mapfile -t COMPREPLY < <(compgen -W "${names//builtin:/}" -- "${cur#:}")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -W "$names" -f -- "$cur")
  fi
}

# Words that may follow the option in $prev; returns 1 if it takes none.
_dcls_value() {
  case $command:$prev in
    infer:-m | infer:--model | bench:-m | bench:--model | eval:-m | eval:--model | inspect:-m | inspect:--model | \
      explain:-m | explain:--model | train:--model | train:--teacher) _dcls_models ;;
    infer:--format) mapfile -t COMPREPLY < <(compgen -W 'text json csv' -- "$cur") ;;
    infer:--algo | eval:--algo | train:--algo) mapfile -t COMPREPLY < <(compgen -W 'auto construct im2col sparse' -- "$cur") ;;
    infer:--precision | train:--precision | bench:--precision) mapfile -t COMPREPLY < <(compgen -W 'fp32 bf16' -- "$cur") ;;
    bench:--algo) mapfile -t COMPREPLY < <(compgen -W 'auto construct im2col sparse all' -- "$cur") ;;
    eval:--kind | train:--data-kind) mapfile -t COMPREPLY < <(compgen -W 'auto folders pairs cifar10' -- "$cur") ;;
    infer:-o | infer:--output | convert:--verify | eval:-d | eval:--data | eval:--worst | \
      train:-o | train:--output | train:--resume | train:--train | train:--val)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      ;;
    infer:--logits | infer:--files0-from | convert:--labels | eval:--classes | eval:--confusion | train:--graph | train:--labels | plot:-o | plot:--output)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    convert:--arch | plot:--arch | inspect:--arch | explain:--arch)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W 'convmixer convnext_dcls deeplabv3' -f -- "$cur")
      ;;
    train:--set)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W 'dim= depth= dims= depths= patch_size= kernel_count= dilated_kernel_size= version= drop_path=
        dropout= share_positions= backbone= head_dim= position_sigma= spread= init=' -- "$cur")
      ;;
    train:-s | train:--recipe-set)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W "$(dcls train --help 2>/dev/null | sed -nE 's/^      -s ([a-z_0-9.]+=).*/\1/p')" -- "$cur")
      ;;
    convert:--set | plot:--set | diff:--set | inspect:--set)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W 'version= dilated_kernel_size= layer= flat_dim=' -- "$cur")
      ;;
    convert:--preprocess | train:--preprocess) mapfile -t COMPREPLY < <(compgen -W 'imagenet imagenet-bicubic cifar10 none' -- "$cur") ;;
    train:--arch) mapfile -t COMPREPLY < <(compgen -W 'convmixer convnext_dcls deeplabv3' -- "$cur") ;;
    train:--replace-version) mapfile -t COMPREPLY < <(compgen -W 'v0 v1 max gauss' -- "$cur") ;;
    train:--optimizer) mapfile -t COMPREPLY < <(compgen -W 'sgd adamw' -- "$cur") ;;
    train:--schedule) mapfile -t COMPREPLY < <(compgen -W 'constant cosine onecycle poly' -- "$cur") ;;
    train:--class-weights) mapfile -t COMPREPLY < <(compgen -W 'balanced' -- "$cur") ;;
    convert:--to) mapfile -t COMPREPLY < <(compgen -W 'dense sparse taps' -- "$cur") ;;
    plot:-m | plot:--model) _dcls_models ;;
    explain:--dim) mapfile -t COMPREPLY < <(compgen -W '1 2 3' -- "$cur") ;;
    explain:--set)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W 'version= dilated_kernel_size= kernel_count= stride= padding= in_channels= out_channels= groups= layer= flat_dim=' -- "$cur")
      ;;
    diff:--order) mapfile -t COMPREPLY < <(compgen -W 'difference model' -- "$cur") ;;
    plot:--kind) mapfile -t COMPREPLY < <(compgen -W 'positions density kernels histogram field' -- "$cur") ;;
    plot:--format) mapfile -t COMPREPLY < <(compgen -W 'png svg pdf html' -- "$cur") ;;
    *:--threads | diff:--atol | diff:--rtol | diff:--key-a | diff:--key-b | diff:--module-a | diff:--module-b | explain:-D | explain:--dilated-kernel-size | \
      explain:-K | explain:--kernel-count | explain:-c | explain:--channels | explain:--in | explain:--out | explain:-g | \
      explain:--groups | explain:--stride | explain:--padding | explain:--size | convert:--kernel-count | convert:--error | convert:--layers | convert:--seed | convert:--effort | \
      convert:--threshold | convert:--merge | convert:--prune | infer:-k | infer:--top | infer:--jobs | infer:--alpha | infer:--max-pixels | infer:--max-memory | \
      convert:--key | inspect:--key | convert:--module | inspect:--module | plot:--key | plot:--module | explain:--key | explain:--module | convert:--drop | inspect:-t | inspect:--tensor | inspect:-n | inspect:--values | inspect:--input | \
      bench:--input | bench:-b | bench:--batch | bench:-r | bench:--repeat | bench:-s | bench:--seconds | \
      eval:--ignore | eval:-n | eval:--limit | eval:-b | eval:--batch | eval:--resize | eval:--scales | eval:--worst-count | \
      train:--save-every | train:--max-memory | train:--classes | train:--replace-depthwise | train:--replace-layers | train:--ignore | \
      train:--limit | train:--val-limit | train:--cache | train:--batch | train:--size | train:--average | train:--seed | \
      train:--validate-every | train:--record-positions | train:--scale | train:--area | train:--crop-padding | \
      train:--rand-ops | train:--rand-magnitude | train:--cutout | train:--mixup | train:--cutmix | train:--momentum | train:--weight-decay | train:--clip-norm | \
      train:--position-rate | train:--spread-rate | train:--freeze | train:--rate-of | train:--rate | train:--epochs | train:--warmup | \
      train:--label-smoothing | train:--teacher-share | train:--temperature | train:--whiten | train:--lovasz | train:--repulsion | train:--repulsion-after | \
      plot:--layers | plot:--channels | plot:--width | plot:--scale | \
      plot:--input | plot:--seed) ;;
    *) return 1 ;;
  esac
}

_dcls() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  local common='--threads --quiet -q --verbose -v --help -h'
  COMPREPLY=()

  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'infer inspect convert plot diff explain train eval bench help --version --help' -- "$cur")
    return
  fi
  # builtin:NAME arrives as three words, and so does an option with = and a value.
  local at=$((COMP_CWORD - 1))
  if [[ $prev == : ]]; then
    at=$((at - 2))
  elif [[ $cur == : ]]; then
    at=$((at - 1))
  fi
  if [[ $cur == = ]]; then
    cur=
  elif [[ ${COMP_WORDS[at]} == = ]]; then
    at=$((at - 1))
  fi
  prev=${COMP_WORDS[at]}
  _dcls_value && return

  if [[ $cur == -* ]]; then
    local options
    case $command in
      infer)
        options='--model -m --top -k --format --json --output -o --alpha --logits --files0-from --algo --precision --jobs --no-exif
          --fail-fast --max-pixels --max-memory --mmap'
        ;;
      convert)
        options='--key --module --drop --arch --set --preprocess --labels --to --kernel-count --error --layers --seed --effort --threshold --merge
          --prune --round-positions --fix-unequal --verify --json --onnx-preprocess'
        ;;
      plot)
        options='--model -m --kind --output -o --format --layers --channels --width --scale --terminal --input --seed --key --module --arch --set'
        ;;
      explain)
        options='--model -m --dilated-kernel-size -D --kernel-count -K --set --key --module --arch --channels -c --in --out --groups -g --stride --padding
          --size --dim --shared-positions --json'
        ;;
      diff) options='--atol --rtol --equal-nan --strict --kernels --all -a --order --key-a --key-b --module-a --module-b --set --json' ;;
      inspect) options='--model -m --key --module --tensor -t --values -n --input --arch --set --json' ;;
      eval)
        options='--model -m --data -d --kind --classes --ignore --limit -n --batch -b --resize --algo --flip --scales --json
          --confusion --worst --worst-count'
        ;;
      train)
        options='--output -o --resume --force --dry-run --print-recipe --save-every --max-memory --labels --recipe-set -s --model --arch
          --graph --set --classes --preprocess --whiten --replace-dilated --replace-depthwise --replace-layers
          --replace-version --train --val --data-kind --ignore --limit --val-limit --cache --batch --size --share-positions
          --average --algo --precision --seed --validate-every --record-positions --scale --area --crop-padding --no-flip
          --rand-ops --rand-magnitude --cutout --mixup --cutmix --optimizer --momentum --weight-decay --clip-norm --position-rate --spread-rate --freeze --rate-of --schedule
          --rate --epochs --warmup --label-smoothing --class-weights --lovasz --repulsion --repulsion-after
          --teacher --teacher-share --temperature'
        ;;
      bench) options='--model -m --input --batch -b --algo --precision --tune --repeat -r --seconds -s --json' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options $common" -- "$cur")
  elif [[ $command == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'infer inspect convert plot diff explain train eval bench help' -- "$cur")
  elif [[ $command == inspect || $command == explain || $command == bench || $command == diff || $command == plot ||
    $command == eval || $command == convert ]]; then
    _dcls_models
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}

complete -F _dcls dcls
