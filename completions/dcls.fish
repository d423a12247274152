# fish completion for dcls

function __dcls_builtins
    dcls --version 2>/dev/null | sed -n 's/^built-in models: //p' | tr -d ' ' | tr ',' '\n' | sed 's/^/builtin:/'
end

set -l commands infer inspect convert plot bench help
set -l none "not __fish_seen_subcommand_from $commands"

complete -c dcls -f -n $none -l version -d 'Print the version'
complete -c dcls -f -n $none -a infer -d 'Classify or segment pictures, or run a network on tensors'
complete -c dcls -f -n $none -a inspect -d 'What is in a model and what it costs'
complete -c dcls -f -n $none -a convert -d 'Convert weights and models'
complete -c dcls -f -n $none -a bench -d 'Where the time goes; algorithms side by side'
complete -c dcls -f -n $none -a plot -d 'Pictures of positions, densities, kernels and receptive fields'
complete -c dcls -f -n $none -a help -d 'Explain a command'

complete -c dcls -l threads -x -d 'Threads to compute with'
complete -c dcls -s q -l quiet -d 'Only errors on stderr'
complete -c dcls -s v -l verbose -d 'Say what is done and how long it takes'
complete -c dcls -s h -l help -d 'Print help'

set -l infer '__fish_seen_subcommand_from infer'
complete -c dcls -n $infer -s m -l model -r -a '(__dcls_builtins)' -d 'Model file or builtin:NAME'
complete -c dcls -n $infer -s k -l top -x -d 'Classes printed'
complete -c dcls -n $infer -l format -x -a 'text json csv' -d 'Form of the answers'
complete -c dcls -n $infer -s o -l output -x -a '(__fish_complete_directories)' -d 'Directory for masks and overlays'
complete -c dcls -n $infer -l alpha -x -d 'Opacity of the overlay, 0 to 1'
complete -c dcls -n $infer -l logits -r -d 'Write raw network outputs (.npy)'
complete -c dcls -n $infer -l files0-from -r -d 'Read NUL-separated input names'
complete -c dcls -n $infer -l algo -x -a 'auto construct im2col sparse' -d 'How DCLS layers are run'
complete -c dcls -n $infer -l jobs -x -d 'Inputs worked on at the same time'
complete -c dcls -n $infer -l no-exif -d 'Ignore the orientation in JPEG pictures'
complete -c dcls -n $infer -l fail-fast -d 'Stop at the first input that fails'
complete -c dcls -n $infer -l max-pixels -x -d 'Refuse larger pictures'
complete -c dcls -n $infer -l max-memory -x -d 'Refuse what takes more memory'

set -l convert '__fish_seen_subcommand_from convert'
complete -c dcls -n $convert -l arch -r -a 'convmixer convnext_dcls deeplabv3' -d 'Network of a state dict'
complete -c dcls -n $convert -l set -x -a 'version= dilated_kernel_size= layer= flat_dim=' -d 'What tensors do not tell'
complete -c dcls -n $convert -l preprocess -x -a 'imagenet imagenet-bicubic cifar10 none' -d 'How pictures become tensors'
complete -c dcls -n $convert -l labels -r -d 'Class names, one a line'
complete -c dcls -n $convert -l to -x -a dense -d 'Kind of kernels'
complete -c dcls -n $convert -l onnx-preprocess -d 'Pixels as input of an ONNX file'

set -l inspect '__fish_seen_subcommand_from inspect'
complete -c dcls -n $inspect -s t -l tensor -x -d 'Statistics and first values of one tensor'
complete -c dcls -n $inspect -s n -l values -x -d 'How many first values'
complete -c dcls -n $inspect -l input -x -d 'Input size to analyse, HxW'
complete -c dcls -n $inspect -l json -d 'Everything, as one JSON object'

set -l bench '__fish_seen_subcommand_from bench'
complete -c dcls -f -n $bench -s m -l model -r -a '(__dcls_builtins)' -d 'Model file or builtin:NAME'
complete -c dcls -n $bench -l input -x -d 'Input size, HxW'
complete -c dcls -n $bench -s b -l batch -x -d 'Items in one run'
complete -c dcls -n $bench -l algo -x -a 'auto construct im2col sparse all' -d 'How DCLS layers are run'
complete -c dcls -n $bench -s r -l repeat -x -d 'Runs that are measured'
complete -c dcls -n $bench -s s -l seconds -x -d 'How long to measure'
complete -c dcls -n $bench -l json -d 'Everything, as one JSON object'

set -l plot '__fish_seen_subcommand_from plot'
complete -c dcls -n $plot -s m -l model -r -a '(__dcls_builtins)' -d 'Model file or builtin:NAME'
complete -c dcls -n $plot -l kind -x -a 'positions density kernels histogram field' -d 'What is drawn'
complete -c dcls -n $plot -s o -l output -r -d 'The picture'
complete -c dcls -n $plot -l format -x -a 'png svg pdf' -d 'Form of the picture'
complete -c dcls -n $plot -l layers -x -d 'Only layers whose name matches'
complete -c dcls -n $plot -l channels -x -d 'Only these output channels'
complete -c dcls -n $plot -l width -x -d 'Width of the page in points'
complete -c dcls -n $plot -l scale -x -d 'Pixels to the point in a PNG'
complete -c dcls -n $plot -l terminal -d 'Densities in the terminal'
complete -c dcls -n $plot -l input -x -d 'Input size of a field, HxW'
complete -c dcls -n $plot -l seed -x -d 'Seed of random inputs of a field'
complete -c dcls -n $plot -l arch -r -a 'convmixer convnext_dcls deeplabv3' -d 'Network of a state dict'
complete -c dcls -n $plot -l set -x -a 'version= dilated_kernel_size= layer= flat_dim=' -d 'What tensors do not tell'

complete -c dcls -f -n '__fish_seen_subcommand_from help' -a 'infer inspect convert plot bench help'
